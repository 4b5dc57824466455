import { Webhook } from "standardwebhooks"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { type Database, emptyNet, newSecret, openReadyDatabase, settle, storeSecret, sweep } from "../../support/sql.ts"

type Client = Awaited<ReturnType<Database["connect"]>>

const PAUSE = "update public.peer_mentor_profiles set status = 'paused' where status = 'active'"

const createMentors = (database: Database, count: number) =>
  database.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, $1)", [count])

const requestsSeenBy = async (client: Pick<Client, "query">) =>
  (
    await client.query<{ readonly id: string; readonly body: string; readonly headers: Record<string, string> }>(
      "select id, convert_from(body, 'UTF8') as body, headers from net.http_request_queue order by id"
    )
  ).rows

const sizesSeenBy = async (client: Pick<Client, "query">): Promise<ReadonlyArray<number>> =>
  (await requestsSeenBy(client)).map(({ body }) => [JSON.parse(body)].flat().length)

describe("an update of many mentors", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows("update outbox.settings set events_per_request = 3")
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  it("is posted at the commit, signed, in requests whose events are in progress", async () => {
    const secret = newSecret()
    await storeSecret(own, "outbox_webhook_secret", secret)
    await createMentors(own, 4)
    await using client = await own.connect()
    await client.query("begin")
    await client.query(PAUSE)
    assert.lengthOf(await requestsSeenBy(client), 0)
    await client.query("commit")
    const requests = await requestsSeenBy(client)
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 1])
    for (const { body, headers } of requests) new Webhook(secret).verify(body, headers)
    const deliveries = await own.rows<{ id: string; request_id: string; attempts: number; events: number }>(
      `select q.delivery_id as id, d.request_id, q.attempts, count(*)::int as events
       from outbox.events q join outbox.deliveries d on d.id = q.delivery_id
       group by 1, 2, 3 order by 2`
    )
    assert.deepStrictEqual(
      deliveries,
      requests.map(({ headers, id }, index) => ({
        id: String(headers["webhook-id"]),
        request_id: id,
        attempts: 1,
        events: index === 1 ? 1 : 3
      }))
    )
    const due = await own.row("select min(next_attempt_at) > now() as later from outbox.events")
    assert.deepStrictEqual(due, { later: true })
  })

  it("leaves no request of a savepoint that is rolled back", async () => {
    await createMentors(own, 3)
    await using client = await own.connect()
    await client.query("begin; savepoint lost")
    await client.query(PAUSE)
    await client.query("rollback to lost; commit")
    assert.deepStrictEqual(await sizesSeenBy(client), [])
    await client.query(PAUSE)
    assert.deepStrictEqual(await sizesSeenBy(client), [3])
  })

  it("posts 25 events per request, although the settings allow more", async () => {
    await own.rows("update outbox.settings set events_per_request = 100")
    await createMentors(own, 60)
    await using client = await own.connect()
    await client.query(PAUSE)
    assert.deepStrictEqual(await sizesSeenBy(client), [25, 25])
    assert.strictEqual(await sweep(own), 10)
  })

  describe("with more than two requests", () => {
    const settleOne = async () => {
      const { event_id } = await own.row<{ event_id: string }>(
        "select event_id from outbox.events where delivery_id is not null and status = 'pending' limit 1"
      )
      assert.include(await settle(own, event_id), { outcome: "completed" })
    }

    it("posts two of them, and one more for each that is settled", async () => {
      await createMentors(own, 11)
      await using client = await own.connect()
      await client.query(PAUSE)
      assert.deepStrictEqual(await sizesSeenBy(client), [3, 3])
      await settleOne()
      assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 3])
      await settleOne()
      assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 3, 2])
      await settleOne()
      assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 3, 2])
    })

    it("leaves the rest to the sweep if every posted request is lost", async () => {
      await createMentors(own, 11)
      await own.rows(PAUSE)
      await emptyNet(own)
      assert.strictEqual(await sweep(own), 5)
    })
  })

  it("is due in full once a transaction has made five statements", async () => {
    await createMentors(own, 12)
    await using client = await own.connect()
    await client.query("begin")
    const one = "update public.peer_mentor_profiles set status = 'paused' where id = $1"
    const { rows } = await client.query<{ id: string }>("select id from public.peer_mentor_profiles")
    for (const { id } of rows) await client.query(one, [id])
    await client.query("commit")
    assert.deepStrictEqual(await sizesSeenBy(client), Array<number>(5).fill(1))
    assert.strictEqual(await sweep(own), 7)
  })

  it("is posted however many mentors the transaction has inserted", async () => {
    await using client = await own.connect()
    await client.query("begin")
    const add = "insert into public.peer_mentor_profiles (status) values ('active')"
    for (let count = 0; count < 4; count += 1) await client.query(add)
    await client.query(PAUSE)
    await client.query("commit")
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 1])
  })

  const broken: ReadonlyArray<{
    readonly name: string
    readonly prepare: (own: Database) => Promise<unknown>
    readonly says: string
  }> = [
    {
      name: "Vault has no secret",
      prepare: (own) => own.rows("delete from vault.secrets where name = 'outbox_webhook_secret'"),
      says: "vault.create_secret"
    },
    {
      name: "pg_net refuses the URL",
      prepare: (own) => storeSecret(own, "outbox_function_url", "https://hunter2.example:99999/functions"),
      says: "<function_url>"
    },
    {
      name: "pg_net was dropped",
      prepare: (own) => own.rows("drop extension pg_net"),
      says: "create extension pg_net"
    }
  ]

  it.for(broken)("still pauses the mentors, and says once what to do: $name", async ({ prepare, says }) => {
    await prepare(own)
    await createMentors(own, 7)
    const warnings: Array<string> = []
    await using client = await own.connect()
    client.on("notice", (notice) => warnings.push(`${notice.severity}: ${notice.message}`))
    await client.query(PAUSE)
    assert.lengthOf(warnings, 1)
    assert.include(warnings[0], says)
    assert.notInclude(warnings[0], "hunter2")
    await sweep(own)
    assert.deepStrictEqual(
      await own.rows("select status, attempts, delivery_id, count(*)::int from outbox.events group by 1, 2, 3"),
      [{ status: "pending", attempts: 0, delivery_id: null, count: 7 }]
    )
  })
})
