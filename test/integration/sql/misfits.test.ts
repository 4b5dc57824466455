import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  eventsOf,
  openDatabase,
  openReadyDatabase,
  setStatus,
  sweep
} from "../../support/sql.ts"

describe("changes of profiles that cannot be read", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const reasons = async (): Promise<ReadonlyArray<string>> =>
    (await own.rows<{ reason: string }>("select distinct reason from outbox.rechecks order by reason")).map(
      ({ reason }) => reason
    )
  const captureFailed = () =>
    own.rows<{ detail: string }>("select detail from outbox.alerts where kind = 'capture_failed' and closed_at is null")

  const alter = (command: string) => own.rows(`alter table public.peer_mentor_profiles ${command}`)

  const misfits = [
    {
      what: "status has another name",
      change: ["rename status to state"],
      back: ["rename state to status"],
      id: "id",
      status: "state"
    },
    {
      what: "id has another name",
      change: ["rename id to mentor_id"],
      back: ["rename mentor_id to id"],
      id: "mentor_id",
      status: "status"
    },
    {
      what: "id is a number, and the uuid has another name",
      change: ["rename id to old_id", "add id bigint generated always as identity"],
      back: ["drop id", "rename old_id to id"],
      id: "old_id",
      status: "status"
    },
    {
      what: "id is a text that is no uuid",
      change: ["rename id to old_id", "add id text default 'mentor ' || gen_random_uuid()"],
      back: ["drop id", "rename old_id to id"],
      id: "old_id",
      status: "status"
    }
  ]

  it.for(misfits)("still commit, are reported, and are found later: $what", async ({ back, change, id, status }) => {
    const [paused, renamed] = [await createMentor(own), await createMentor(own)]
    await using client = await own.connect()
    // A session that has planned the captures before.
    await client.query("update public.peer_mentor_profiles set full_name = 'Ada'")
    for (const command of change) await alter(command)

    const table = "public.peer_mentor_profiles"
    await client.query(`insert into ${table} (${status}) values ('active')`)
    await client.query(`update ${table} set ${status} = 'paused' where ${id} = $1`, [paused])
    await client.query(`update ${table} set ${status} = 'paused', ${id} = gen_random_uuid() where ${id} = $1`, [
      renamed
    ])
    assert.lengthOf(await eventsOf(own, paused), 0)
    assert.isNotEmpty(await reasons())

    await sweep(own)
    const [alert] = await captureFailed()
    assert.include(alert?.detail, "could not be read")
    assert.deepStrictEqual(await reasons(), [])

    // Nor do the jobs take the rows for others, or their keys for gone.
    await own.rows("select outbox.reconcile(), outbox.forget_settled()")
    assert.deepStrictEqual(await own.rows("select key from outbox.events"), [])
    const keys = (await own.rows<{ key: string }>("select key from outbox.keys")).map(({ key }) => key)
    assert.include(keys, paused)
    assert.includeMembers([paused, renamed], keys)

    for (const command of back) await alter(command)
    await own.rows("select outbox.reconcile()")
    assert.deepStrictEqual(
      (await eventsOf(own, paused)).map(({ transition, version }) => [version, transition]),
      [[1, "PAUSE"]]
    )
  })

  it("are read if only the type of the status differs", async () => {
    const mentor = await createMentor(own)
    for (const type of ["varchar(20)", "jsonb using to_jsonb(status)", "text using status #>> '{}'"]) {
      await alter("alter status drop default")
      await alter(`alter status type ${type}`)
      await own.rows("update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor])
    }
    await setStatus(own, mentor, "paused")
    assert.lengthOf(await eventsOf(own, mentor), 1)
    assert.deepStrictEqual(await reasons(), [])
  })
})

const parts = {
  settings: "delete from outbox.settings",
  secrets: "delete from vault.secrets",
  pg_net: "drop extension pg_net cascade",
  vault: "drop extension supabase_vault cascade"
} as const

describe("an outbox that lacks", () => {
  const names = ["settings", "secrets", "pg_net", "vault"] as const
  const combinations = Array.from({ length: 15 }, (_, index) =>
    names.filter((_, place) => ((index + 1) >> place) % 2 === 1)
  )

  it.for(combinations.map((missing) => ({ missing })))(
    "$missing lets every commit pass and keeps the event",
    async ({ missing }) => {
      await using database = await openReadyDatabase()
      const [one, other] = [await createMentor(database), await createMentor(database)]
      {
        await using admin = await database.connect("admin")
        for (const name of missing) await admin.query(parts[name])
      }
      await setStatus(database, one, "paused", "active")
      await database.rows(
        "update public.peer_mentor_profiles set id = gen_random_uuid(), status = 'paused' where id = $1",
        [other]
      )
      const events = await database.rows<{ status: string }>("select status from outbox.events")
      assert.deepStrictEqual(
        events.map(({ status }) => status),
        ["pending", "pending", "pending"]
      )
      await sweep(database)
    }
  )

  it("everything lets a commit pass, too", async () => {
    await using database = await openDatabase()
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    assert.lengthOf(await eventsOf(database, mentor), 1)
  })
})
