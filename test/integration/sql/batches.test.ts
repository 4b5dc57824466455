import { Webhook } from "standardwebhooks"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  claim,
  complete,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  eventsOf,
  makeDue,
  newSecret,
  openReadyDatabase,
  pausedEvents,
  release,
  setStatus,
  settle,
  storeSecret,
  sweep
} from "../../support/sql.ts"

interface Payload {
  readonly event_id: string
  readonly record: { readonly id: string }
}

interface Request {
  readonly body: string
  readonly headers: Record<string, string>
}

describe("events that travel together", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const requests = () =>
    own.rows<Request>("select convert_from(body, 'UTF8') as body, headers from net.http_request_queue order by id")

  const sizes = async () =>
    (await requests()).map(({ body }): number => {
      const content: unknown = JSON.parse(body)
      return Array.isArray(content) ? content.length : 1
    })

  it("are one signed array of payloads under its own id", async () => {
    const secret = newSecret()
    await storeSecret(own, "outbox_webhook_secret", secret)
    const events = await pausedEvents(own, 3)
    const [request, ...more] = await requests()
    assert.lengthOf(more, 0)
    if (request === undefined) throw new Error("nothing was sent")
    const payloads = new Webhook(secret).verify(request.body, request.headers) as ReadonlyArray<Payload>
    assert.sameMembers(
      payloads.map((payload) => payload.event_id),
      events.map((event) => event.eventId)
    )
    const deliveryId = request.headers["webhook-id"]
    assert.notInclude(
      events.map((event) => event.eventId),
      deliveryId
    )
    const deliveries = await own.rows("select distinct delivery_id, attempts from outbox.events")
    assert.deepStrictEqual(deliveries, [{ delivery_id: deliveryId, attempts: 1 }])
  })

  it("are an object under the event's id if there is only one", async () => {
    const [event] = await pausedEvents(own, 1)
    const [request] = await requests()
    assert.strictEqual(request?.headers["webhook-id"], event?.eventId)
    assert.include(JSON.parse(request?.body ?? ""), { event_id: event?.eventId })
  })

  it("fill requests up to the configured size", async () => {
    await own.rows("update outbox.settings set events_per_request = 7")
    await pausedEvents(own, 9)
    assert.deepStrictEqual(await sizes(), [7, 2])
  })

  it("are sent per statement, when the transaction commits", async () => {
    const mentors = await Promise.all(Array.from({ length: 4 }, () => createMentor(own)))
    await using client = await own.connect()
    const pause = (index: number) =>
      client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentors[index]])
    await client.query("begin")
    await pause(0)
    await client.query("savepoint kept")
    await pause(1)
    await client.query("release kept")
    await client.query("savepoint lost")
    await pause(2)
    await client.query("rollback to lost")
    await pause(3)
    await client.query("commit")
    assert.deepStrictEqual(await sizes(), [1, 1, 1])
    const queued = await Promise.all(mentors.map(async (mentor) => (await eventsOf(own, mentor)).length))
    assert.deepStrictEqual(queued, [1, 1, 0, 1])
  })

  it("are sent at each statement if a transaction makes its constraints immediate", async () => {
    const mentors = [await createMentor(own), await createMentor(own)]
    await using client = await own.connect()
    await client.query("begin")
    await client.query("set constraints all immediate")
    for (const mentor of mentors) {
      await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    }
    await client.query("commit")
    assert.deepStrictEqual(await sizes(), [1, 1])
  })

  it("never hold two events of one mentor", async () => {
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 5)")
    await using client = await own.connect()
    await client.query("begin")
    await client.query("update public.peer_mentor_profiles set status = 'paused'")
    await client.query("update public.peer_mentor_profiles set status = 'active'")
    await client.query("commit")
    assert.deepStrictEqual(await sizes(), [5, 5])
    const versions = (await requests()).map(({ body }) =>
      JSON.parse(body).map(({ version }: { readonly version: number }) => version)
    )
    assert.sameDeepMembers(versions, [Array<number>(5).fill(1), Array<number>(5).fill(2)])
  })

  it("are not mixed with events that other transactions left due", async () => {
    const [other] = await pausedEvents(own, 1)
    await own.rows(
      `update outbox.events
       set delivery_id = null, next_attempt_at = now() where event_id = $1`,
      [other?.eventId]
    )
    await emptyNet(own)
    const [mine] = await pausedEvents(own, 1)
    const sent = (await requests()).map(({ body }): unknown => JSON.parse(body))
    assert.lengthOf(sent, 1)
    assert.deepInclude(sent[0], { event_id: mine?.eventId })
  })

  it.each([
    { status: 400, rounds: [[4, 4], [2, 2, 2, 2], Array<number>(8).fill(1)] },
    { status: 500, rounds: [[4, 4], [2, 2, 2, 2], Array<number>(8).fill(1)] },
    { status: 503, rounds: [[8], [8], [8]] },
    { status: undefined, rounds: [[8], [8], [8]] }
  ])("are split after an answer of $status, until the bad event is alone", async (answer) => {
    await own.rows("update outbox.settings set events_per_request = 8")
    const events = await pausedEvents(own, 8)
    const rounds: Array<ReadonlyArray<number>> = []
    for (let round = 0; round < 3; round += 1) {
      await emptyNet(own)
      if (answer.status !== undefined) {
        await own.rows(
          `insert into net._http_response (id, status_code, created)
           select distinct d.request_id, $1::integer, now()
           from outbox.events q join outbox.deliveries d on d.id = q.delivery_id`,
          [answer.status]
        )
      }
      for (const { eventId } of events) await makeDue(own, eventId)
      assert.strictEqual(await sweep(own), 8)
      rounds.push(await sizes())
    }
    assert.deepStrictEqual(rounds, answer.rounds)
  })

  it("are settled one by one: one that fails is sent again alone", async () => {
    const [good, bad] = await pausedEvents(own, 2)
    if (good === undefined || bad === undefined) throw new Error("two events were expected")
    const tokens = [await claim(own, good.eventId), await claim(own, bad.eventId)]
    await complete(own, good.eventId, tokens[0])
    await release(own, bad.eventId, tokens[1])
    await emptyNet(own)
    await makeDue(own, bad.eventId)
    assert.strictEqual(await sweep(own), 1)
    const [request] = await requests()
    assert.strictEqual(request?.headers["webhook-id"], bad.eventId)
  })

  it("say why they were sent", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    const why = (version: number) =>
      own.row<{ dispatch_reason: string | null }>(
        "select dispatch_reason from outbox.events where key = $1 and version = $2",
        [mentor, version]
      )
    assert.deepStrictEqual(await why(1), { dispatch_reason: "commit" })
    const { event_id } = await eventOf(own, mentor)
    await makeDue(own, (await eventOf(own, mentor, 2)).event_id)
    await sweep(own)
    await settle(own, event_id)
    assert.deepStrictEqual(await why(2), { dispatch_reason: "commit" })
    await emptyNet(own)
    await makeDue(own, (await eventOf(own, mentor, 2)).event_id)
    await sweep(own)
    await own.rows("update outbox.events set next_attempt_at = now() where delivery_id is null")
    await sweep(own)
    assert.deepStrictEqual(await why(2), { dispatch_reason: "sweep" })
  })
})
