import { Webhook } from "standardwebhooks"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  emptyNet,
  eventsOf,
  functionUrl,
  newSecret,
  openDatabase,
  openReadyDatabase,
  setStatus,
  settle,
  storeSecret,
  sweep
} from "../../support/sql.ts"

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

const deliveriesSeenBy = async (client: Pick<Client, "query">) =>
  (
    await client.query(
      `select delivery_id, request_id, attempts, dispatch_reason, count(*)::int as events
       from pause_status.webhook_queue group by 1, 2, 3, 4 order by request_id`
    )
  ).rows

const sentAs = (requests: ReadonlyArray<{ readonly id: string; readonly headers: Record<string, string> }>) =>
  requests.map(({ headers, id }) => ({
    delivery_id: headers["webhook-id"],
    request_id: id,
    attempts: 1,
    dispatch_reason: "commit",
    events: 3
  }))

describe("an update that fills whole requests", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows("update pause_status.settings set events_per_request = 3")
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  it("hands them to pg_net at once, signed, and queues their events as under way; the rest goes at the commit", async () => {
    const secret = newSecret()
    await storeSecret(own, "pause_status_webhook_secret", secret)
    await createMentors(own, 7)
    await using client = await own.connect()
    await client.query("begin")
    await client.query(PAUSE)
    const requests = await requestsSeenBy(client)
    const queued = await deliveriesSeenBy(client)
    assert.deepStrictEqual(queued, [
      ...sentAs(requests),
      { delivery_id: null, request_id: null, attempts: 0, dispatch_reason: null, events: 1 }
    ])
    for (const { body, headers } of requests) assert.lengthOf(new Webhook(secret).verify(body, headers) as [], 3)
    await client.query("commit")
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 1])
    assert.deepStrictEqual(
      (await deliveriesSeenBy(client)).map(({ attempts, events }) => [attempts, events]),
      [
        [1, 3],
        [1, 3],
        [1, 1]
      ]
    )
    const due = await own.row("select min(next_attempt_at) > now() as later from pause_status.webhook_queue")
    assert.deepStrictEqual(due, { later: true })
  })

  it("lets what several statements left over travel together", async () => {
    await using client = await own.connect()
    await client.query("begin")
    for (let statement = 0; statement < 3; statement += 1) {
      await client.query("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 4)")
      await client.query(PAUSE)
    }
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 3])
    await client.query("commit")
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 3, 3, 3])
  })

  it("leaves no request of a savepoint that is rolled back", async () => {
    await createMentors(own, 3)
    await using client = await own.connect()
    await client.query("begin; savepoint lost")
    await client.query(PAUSE)
    assert.deepStrictEqual(await sizesSeenBy(client), [3])
    await client.query("rollback to lost; commit")
    assert.deepStrictEqual(await sizesSeenBy(client), [])
    await client.query(PAUSE)
    assert.deepStrictEqual(await sizesSeenBy(client), [3])
  })

  it("keeps back the mentors who have an earlier event unsettled", async () => {
    const waiting = await createMentor(own)
    await setStatus(own, waiting, "paused", "active")
    await own.rows("truncate net.http_request_queue")
    await createMentors(own, 2)
    await own.rows(PAUSE)
    assert.deepStrictEqual(
      (await eventsOf(own, waiting)).map(({ attempts, version }) => [version, attempts]),
      [
        [1, 1],
        [2, 0],
        [3, 0]
      ]
    )
    await using client = await own.connect()
    assert.deepStrictEqual(await sizesSeenBy(client), [2])
  })

  it("takes them back and signs them anew when the transaction lasts longer than a signature should wait", async () => {
    await using slow = await openDatabase({ migrate: false })
    await slow.migrate({ replace: [/(clock_timestamp\(\) - now\(\) > interval) '1 minute'/, "$1 '0'"] })
    await storeSecret(slow, "pause_status_function_url", functionUrl)
    await storeSecret(slow, "pause_status_webhook_secret", newSecret())
    await slow.rows("update pause_status.settings set events_per_request = 3")
    await createMentors(slow, 6)
    await using client = await slow.connect()
    await client.query("begin")
    await client.query(PAUSE)
    const early = await requestsSeenBy(client)
    await client.query("commit")
    const late = await requestsSeenBy(client)
    assert.lengthOf(early, 2)
    assert.deepStrictEqual(await deliveriesSeenBy(client), sentAs(late))
    const lateIds = late.map(({ id }) => id)
    for (const { id } of early) assert.notInclude(lateIds, id)
    assert.deepStrictEqual(await sizesSeenBy(client), [3, 3])
  })

  describe("of which there are more than five", () => {
    const REQUESTS_OF_THREE = [3, 3, 3, 3, 3]

    const settleOne = async () => {
      const { event_id } = await own.row<{ event_id: string }>(
        "select event_id from pause_status.webhook_queue where delivery_id is not null and status = 'pending' limit 1"
      )
      assert.include(await settle(own, event_id), { outcome: "completed" })
    }

    it("hands five of them to pg_net, and what is left over when one of their events is settled", async () => {
      await createMentors(own, 20)
      await using client = await own.connect()
      await client.query(PAUSE)
      assert.deepStrictEqual(await sizesSeenBy(client), REQUESTS_OF_THREE)
      await settleOne()
      assert.deepStrictEqual(await sizesSeenBy(client), [...REQUESTS_OF_THREE, 3, 2])
    })

    it("hands over ten more for each that is settled", async () => {
      await createMentors(own, 60)
      await using client = await own.connect()
      await client.query(PAUSE)
      await settleOne()
      assert.lengthOf(await sizesSeenBy(client), 15)
      await settleOne()
      assert.lengthOf(await sizesSeenBy(client), 20)
      await settleOne()
      assert.lengthOf(await sizesSeenBy(client), 20)
    })

    it("leaves what is left over to the sweep when all that was handed over is lost", async () => {
      await createMentors(own, 20)
      await own.rows(PAUSE)
      await emptyNet(own)
      assert.strictEqual(await sweep(own), 5)
    })

    it("sends at the commit what the transaction changed beside, and what fills no request", async () => {
      const other = await createMentor(own, "paused")
      await createMentors(own, 20)
      await using client = await own.connect()
      await client.query("begin")
      await client.query(PAUSE)
      await client.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [other])
      await client.query("commit")
      assert.deepStrictEqual(await sizesSeenBy(client), [...REQUESTS_OF_THREE, 1])
      const [event] = await eventsOf(own, other)
      assert.strictEqual(event?.attempts, 1)
    })

    it("leaves those in their place whose mentors have an earlier event unsettled", async () => {
      const waiting = await createMentor(own)
      await setStatus(own, waiting, "paused", "active")
      await own.rows("delete from pause_status.webhook_queue where mentor_id = $1 and version = 2", [waiting])
      await emptyNet(own)
      await createMentors(own, 20)
      await own.rows(PAUSE)
      await own.rows("update pause_status.webhook_queue set delivery_id = null where mentor_id = $1", [waiting])
      await settleOne()
      await using client = await own.connect()
      assert.deepStrictEqual(await sizesSeenBy(client), [...REQUESTS_OF_THREE, 3, 2])
      assert.deepStrictEqual(
        (await eventsOf(own, waiting)).map(({ attempts, version }) => [version, attempts]),
        [
          [1, 1],
          [3, 0]
        ]
      )
    })
  })

  const broken: ReadonlyArray<{
    readonly name: string
    readonly prepare: (own: Database) => Promise<unknown>
    readonly says: string
  }> = [
    {
      name: "Vault has no secret",
      prepare: (own) => own.rows("delete from vault.secrets where name = 'pause_status_webhook_secret'"),
      says: "vault.create_secret"
    },
    {
      name: "pg_net refuses the URL",
      prepare: (own) => storeSecret(own, "pause_status_function_url", "https://hunter2.example:99999/functions"),
      says: "<pause_status_function_url>"
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
    assert.deepStrictEqual(
      await own.rows(
        "select status, attempts, delivery_id, count(*)::int from pause_status.webhook_queue group by 1, 2, 3"
      ),
      [{ status: "pending", attempts: 0, delivery_id: null, count: 7 }]
    )
  })
})
