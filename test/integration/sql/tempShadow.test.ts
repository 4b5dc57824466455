import { randomBytes, randomUUID } from "node:crypto"
import { Client } from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { rpcs } from "../../support/objects.ts"
import { castShadows, listen, type Shadow, shadowsOf, WARNING } from "../../support/shadows.ts"
import {
  type Answer,
  createMentor,
  type Database,
  functionUrl,
  newSecret,
  openDatabase,
  pausedEvents,
  type Settled,
  storeSecret
} from "../../support/sql.ts"

const prepare = async (replace?: readonly [RegExp, string]): Promise<Database> => {
  const database = await openDatabase({ migrate: false })
  await database.migrate(replace && { replace })
  await storeSecret(database, "pause_status_function_url", functionUrl)
  await storeSecret(database, "pause_status_webhook_secret", newSecret())
  await database.rows(`
    grant select, insert, update on public.peer_mentor_profiles to authenticated;
    create policy "anybody" on public.peer_mentor_profiles using (true) with check (true)`)
  return database
}

type Connected = Client & AsyncDisposable

const asRole = async (database: Database, role: string): Promise<Connected> => {
  const client = await database.connect()
  await client.query(`set role ${role}`)
  return client
}

/** A login of its own that may write profiles and nothing else; it goes with the connection. */
const asWriter = async (database: Database): Promise<Connected> => {
  const [name, password] = [`writer_${randomUUID().replaceAll("-", "")}`, randomBytes(16).toString("hex")]
  const admin = await database.connect("admin")
  await admin.query(`
    create role ${name} login password '${password}';
    grant select, insert, update on public.peer_mentor_profiles to ${name}`)
  const url = Object.assign(new URL(database.url), { username: name, password })
  const client = new Client(url.href)
  await client.connect()
  return Object.assign(client, {
    [Symbol.asyncDispose]: async () => {
      await client.end()
      await admin.query(`revoke all on public.peer_mentor_profiles from ${name}; drop role ${name}`)
      await admin.end()
    }
  })
}

/** Everything that reaches our triggers. */
const change = async (client: Client, mentors: ReadonlyArray<string>): Promise<void> => {
  const [first = ""] = mentors
  const [added, renamed] = [randomUUID(), randomUUID()]
  await client.query("update public.peer_mentor_profiles set status = 'paused' where false")
  await client.query("insert into public.peer_mentor_profiles (id, status) values ($1, 'active')", [added])
  await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [added])
  await client.query("update public.peer_mentor_profiles set id = $2, status = 'active' where id = $1", [
    added,
    renamed
  ])
  await client.query("update public.peer_mentor_profiles set full_name = 'x'")
  await client.query("update public.peer_mentor_profiles set status = 'paused' where id = any($1)", [mentors])
  await client.query("begin")
  await client.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [first])
  await client.query("set constraints all immediate")
  await client.query("commit")
}

describe("a temporary object with a name that our functions use", () => {
  let database: Database
  let shadows: ReadonlyArray<Shadow>
  beforeAll(async () => {
    database = await prepare()
    shadows = await shadowsOf(database)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const attackers = [
    ["a login that may write profiles", asWriter],
    ["authenticated", (database: Database) => asRole(database, "authenticated")]
  ] as const

  const attack = async (database: Database, connect: (database: Database) => Promise<Connected>) => {
    // More than fill a request.
    const mentors = await Promise.all(Array.from({ length: 120 }, () => createMentor(database)))
    await using client = await connect(database)
    const cast = await castShadows(client, shadows)
    const heard = listen(client)
    await change(client, mentors).catch((cause: unknown) => {
      if (heard.length === 0) throw cause
    })
    return { cast, heard, mentors }
  }

  it.for(attackers)(
    "runs nothing of %s when profiles are changed, and every change is captured",
    async ([, connect]) => {
      const before = await database.row<{ count: number }>("select count(*)::int from pause_status.webhook_queue")
      const { cast, heard, mentors } = await attack(database, connect)
      assert.deepStrictEqual(heard, [])
      for (const name of ["timestamptz", "text", "uuid", "jsonb"]) {
        assert.isTrue(
          cast.some((shadow) => shadow.kind === "type" && shadow.name === name),
          name
        )
      }
      for (const kind of ["relation", "function"])
        assert.isTrue(
          cast.some((shadow) => shadow.kind === kind),
          kind
        )
      const after = await database.row<{ count: number }>("select count(*)::int from pause_status.webhook_queue")
      assert.strictEqual(after.count - before.count, mentors.length + 3)
      const unsent = await database.rows(
        "select last_error from pause_status.webhook_queue where last_error is not null"
      )
      assert.deepStrictEqual(unsent, [])
    }
  )

  it("runs nothing when service_role calls any of its functions", async () => {
    const [sent, refused, cancelled] = await pausedEvents(database, 3)
    await using client = await asRole(database, "service_role")
    await castShadows(client, shadows)
    const heard = listen(client)
    const called = new Set<string>()
    const call = async <A = unknown>(name: string, ...args: ReadonlyArray<unknown>): Promise<A> => {
      called.add(`public.${name}`)
      const values = args.map((arg) => (typeof arg === "object" ? JSON.stringify(arg) : arg))
      const { rows } = await client.query<{ answer: A }>(
        `select public.${name}(${args.map((_, at) => `$${at + 1}`)}) as answer`,
        values
      )
      const [{ answer }] = rows as [{ answer: A }]
      return answer
    }
    const given = [sent, refused, { eventId: "none" }]
    const [first, second] = await call<ReadonlyArray<Answer>>("pause_status_claim", given)
    assert.strictEqual(first?.outcome, "claimed")
    await call("pause_status_notify", [sent, { version: -1 }])
    const { settled } = await call<Settled>(
      "pause_status_settle",
      [
        {
          eventId: sent?.eventId,
          token: first?.["token"],
          outcome: "completed",
          receipt: { notified: 1 },
          durationMs: 5
        },
        {
          eventId: refused?.eventId,
          token: second?.["token"],
          outcome: "released",
          kind: "permanent",
          message: "refused"
        }
      ],
      1
    )
    assert.deepStrictEqual(
      settled.map(({ outcome }) => outcome),
      ["completed", "dead"]
    )
    await call("pause_status_redrive", refused?.eventId, true)
    await call("pause_status_resolve", cancelled?.eventId, "no longer")
    await call("pause_status_get_event", sent?.eventId)
    await call("pause_status_list_events", { limit: 5, occurredFrom: "2026-01-01T00:00:00Z", mentorId: sent?.mentorId })
    await call("pause_status_health")
    assert.strictEqual((await call<Answer>("pause_status_erase", sent?.eventId)).outcome, "erased")
    assert.deepStrictEqual(heard, [])
    assert.deepStrictEqual([...called].toSorted(), rpcs.map((name) => name.replace(/\(.*/, "")).toSorted())
  })

  it.for(attackers)(
    "would run as postgres for %s if pg_temp were not named: the attack is a real one",
    async ([, connect]) => {
      await using unsafe = await prepare([/set search_path = pg_catalog, pg_temp/g, "set search_path = ''"])
      const { heard } = await attack(unsafe, connect)
      assert.include(heard.join("; "), `${WARNING} postgres: type timestamptz`)
    }
  )
})
