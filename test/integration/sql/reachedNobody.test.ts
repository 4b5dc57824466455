import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  claim,
  complete,
  createMentor,
  type Database,
  eventOf,
  givenEvent,
  openReadyDatabase,
  setStatus
} from "../../support/sql.ts"

const topic = "pause-status"

describe("an event that reached nobody", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  /** Delivers an event through our own orchestrator. */
  const deliver = async (eventId: string) => {
    const event = await givenEvent(own, eventId)
    const token = await claim(own, eventId)
    const [told] = await own.rpc("pause_status_notify", { events: [event] })
    await complete(own, eventId, token, told?.["receipt"])
    return told
  }

  /** A pause of a mentor whom no coordinator is responsible for. */
  const unreached = async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await deliver(event_id)
    return { mentor, event_id }
  }

  const assign = (mentor: string) =>
    own.rows(
      `with c as (insert into public.coordinators (name) values ('Ada') returning id)
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, c.id from c`,
      [mentor]
    )

  const figures = async () => {
    await own.rows("select outbox.watch()")
    const { alertsOpen, withoutRecipients } = await own.call<{
      alertsOpen: ReadonlyArray<{ kind: string; value: number }>
      withoutRecipients: number
    }>("outbox_health", {})
    return { withoutRecipients, alerts: alertsOpen.map(({ kind, value }) => `${kind} ${value}`) }
  }

  const redrive = async (event_id: string, options: object = {}) =>
    (await own.call<{ outcome: string }>("outbox_redrive", { topic, event_id, ...options })).outcome

  const marks = async (event_id: string) => {
    const { events } = await own.call<{ events: ReadonlyArray<{ eventId: string; reachedNobody: boolean }> }>(
      "outbox_list_events",
      { query: { topic, limit: 10 } }
    )
    const shown = await own.call<{ reachedNobody: boolean }>("outbox_get_event", { topic, event_id })
    return [events.find(({ eventId }) => eventId === event_id)?.reachedNobody, shown.reachedNobody]
  }

  it("is counted, marked, and opens an alert; one that reached somebody is not", async () => {
    const { event_id } = await unreached()
    const mentor = await createMentor(own)
    await assign(mentor)
    await setStatus(own, mentor, "paused")
    const told = await eventOf(own, mentor)
    await deliver(told.event_id)
    assert.deepStrictEqual(await figures(), { withoutRecipients: 1, alerts: ["no_recipients 1"] })
    assert.deepStrictEqual(await marks(event_id), [true, true])
    assert.deepStrictEqual(await marks(told.event_id), [false, false])
  })

  it("includes one whose mentor is linked only to coordinators who do not exist", async () => {
    const mentor = await createMentor(own)
    await own.rows("insert into public.mentor_coordinators values ($1, gen_random_uuid())", [mentor])
    await setStatus(own, mentor, "paused")
    await deliver((await eventOf(own, mentor)).event_id)
    assert.deepStrictEqual(await figures(), { withoutRecipients: 1, alerts: ["no_recipients 1"] })
  })

  it("excludes one whose orchestrator does not say whom it notified", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await complete(own, event_id, await claim(own, event_id), { accepted: true })
    assert.deepStrictEqual(await figures(), { withoutRecipients: 0, alerts: [] })
    assert.deepStrictEqual(await marks(event_id), [false, false])
  })

  it("reaches the mentor's coordinators when it is redriven", async () => {
    const { mentor, event_id } = await unreached()
    await assign(mentor)
    assert.strictEqual(await redrive(event_id, { dry_run: true }), "would_redrive")
    assert.strictEqual(await redrive(event_id), "redriven")
    assert.include(await eventOf(own, mentor), { status: "pending", receipt: null, attempts: 2 })
    assert.deepStrictEqual(await figures(), { withoutRecipients: 0, alerts: [] })
    const told = await deliver(event_id)
    assert.deepInclude(told, { outcome: "notified", replayed: false })
    assert.deepInclude(told?.["receipt"], { notified: 1 })
    const notified = await own.rows("select transition from public.notifications where event_id = $1", [event_id])
    assert.deepStrictEqual(notified, [{ transition: "PAUSE" }])
    assert.strictEqual(await redrive(event_id), "not_failed")
  })

  it("is superseded once a later event was completed, unless it is forced", async () => {
    const { mentor, event_id } = await unreached()
    await assign(mentor)
    await setStatus(own, mentor, "active")
    await deliver((await eventOf(own, mentor, 2)).event_id)
    assert.strictEqual(await redrive(event_id), "superseded")
    assert.strictEqual(await redrive(event_id, { force: true }), "redriven")
  })

  it("is acknowledged when it is resolved: the figure and the alert close, the mark stays", async () => {
    const { event_id } = await unreached()
    assert.deepStrictEqual(await figures(), { withoutRecipients: 1, alerts: ["no_recipients 1"] })
    const answer = await own.call<{ outcome: string }>("outbox_resolve", { topic, event_id, notes: "they have none" })
    assert.strictEqual(answer.outcome, "resolved")
    assert.deepStrictEqual(await figures(), { withoutRecipients: 0, alerts: [] })
    assert.deepStrictEqual(await marks(event_id), [true, true])
  })
})
