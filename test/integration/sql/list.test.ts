import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import {
  claim,
  claimOf,
  complete,
  createMentor,
  type Database,
  eventOf,
  foreignEvent,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  settle
} from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

const topic = "pause-status"

interface Event {
  readonly eventId: string
  readonly key: string
  readonly createdAt: string
  readonly status: string
}

interface Page {
  readonly events: ReadonlyArray<Event>
  readonly next: { readonly createdAt: string; readonly eventId: string } | null
}

const list = (database: Database, query: object = {}): Promise<Page> =>
  database.call<Page>("outbox_list_events", { query: { topic, limit: 100, ...query } })

const idsOf = async (database: Database, query: object = {}): Promise<ReadonlyArray<string>> =>
  (await list(database, query)).events.map(({ eventId }) => eventId)

const allPages = async (
  database: Database,
  query: { readonly limit: number },
  between: (page: number) => Promise<unknown> = () => Promise.resolve()
): Promise<ReadonlyArray<string>> => {
  const ids: Array<string> = []
  let { events, next } = await list(database, query)
  for (let page = 1; ; page++) {
    ids.push(...events.map(({ eventId }) => eventId))
    if (next === null) return ids
    assert.lengthOf(events, query.limit)
    await between(page)
    ;({ events, next } = await list(database, { ...query, after: next }))
  }
}

const newestFirst = (database: Database) =>
  database
    .rows<{ event_id: string }>("select event_id from outbox.events order by created_at desc, event_id desc")
    .then((rows) => rows.map(({ event_id }) => event_id))

describe("the list of events", () => {
  let database: Database
  const ids = {
    pending: "",
    processing: "",
    completed: "",
    failed: "",
    resolved: "",
    resume: "",
    late: "",
    timeless: "",
    early: ""
  }
  let coordinator: string
  let mentor: string

  beforeAll(async () => {
    database = await openReadyDatabase()
    for (const state of ["pending", "processing", "completed", "failed", "resolved"] as const) {
      ids[state] = await inState[state](database)
    }
    mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await settle(database, (await eventOf(database, mentor)).event_id)
    await setStatus(database, mentor, "active")
    ids.resume = (await eventOf(database, mentor, 2)).event_id
    const late = foreignEvent({ occurredAt: "2020-02-29T23:59:59.999999Z", mentorId: mentor })
    const timeless = foreignEvent({ occurredAt: "yesterday" })
    const early = foreignEvent({ occurredAt: "2199-01-01T00:00:00Z" })
    for (const event of [late, timeless, early]) await claimOf(database, event)
    Object.assign(ids, { late: late.eventId, timeless: timeless.eventId, early: early.eventId })
    const { id } = await database.row<{ id: string }>(
      `with c as (insert into public.coordinators (name) values ('Cleo') returning id)
       insert into public.mentor_coordinators select $1, id from c returning coordinator_id as id`,
      [mentor]
    )
    coordinator = id
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it("holds every event, newest first", async () => {
    assert.deepStrictEqual(await idsOf(database), await newestFirst(database))
  })

  it("shows an event as the contract says, its times with all their microseconds", async () => {
    const event = (await list(database, { key: mentor, limit: 1 })).events[0]
    const stored = await database.row<{ created: string }>(
      `select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created
       from outbox.events where event_id = $1`,
      [ids.late]
    )
    assert.deepStrictEqual<unknown>(event, {
      eventId: ids.late,
      topic,
      key: mentor,
      type: "UPDATE",
      record: { id: mentor, status: "paused" },
      oldRecord: { id: mentor, status: "active" },
      occurredAt: "2020-02-29T23:59:59.999999Z",
      version: null,
      source: "webhook",
      status: "processing",
      attemptCount: 1,
      failures: 0,
      createdAt: stored.created,
      completedAt: null,
      nextAttemptAt: null,
      lastError: null,
      receipt: null,
      reachedNobody: false
    })
  })

  it("is filtered by status, and the statuses together give everything", async () => {
    const found = { pending: ["pending"], processing: ["processing"], completed: ["completed"], failed: ["failed"] }
    const all: Array<string> = []
    for (const status of Object.keys(found)) {
      const { events } = await list(database, { status })
      assert.deepStrictEqual([...new Set(events.map((event) => event.status))], [status])
      all.push(...events.map(({ eventId }) => eventId))
    }
    assert.sameMembers(all, await newestFirst(database))
    assert.sameMembers([...(await idsOf(database, { status: "failed" }))], [ids.failed, ids.resolved])
  })

  it("is filtered by key, by record, and by both", async () => {
    const resumed = { record: { status: "active" } }
    assert.lengthOf(await idsOf(database, { key: mentor }), 3)
    assert.deepStrictEqual(await idsOf(database, resumed), [ids.resume])
    assert.deepStrictEqual(await idsOf(database, { ...resumed, key: mentor }), [ids.resume])
    assert.deepStrictEqual(await idsOf(database, { record: { id: mentor, status: "active" } }), [ids.resume])
    assert.deepStrictEqual(await idsOf(database, { record: {}, key: mentor }), await idsOf(database, { key: mentor }))
    assert.deepStrictEqual(await idsOf(database, { record: { status: "left" } }), [])
    assert.deepStrictEqual(await idsOf(database, { record: { state: "active" } }), [])
    assert.deepStrictEqual(await idsOf(database, { key: foreignEvent().mentorId }), [])
  })

  it("contains one topic", async () => {
    assert.deepStrictEqual(await list(database, { topic: "orders" }), { events: [], next: null })
    assert.deepStrictEqual(await idsOf(database, { topic: "orders", key: mentor }), [])
  })

  it("is filtered by time: from is inclusive, to is exclusive, and events without a time are left out", async () => {
    const day = { occurredFrom: "2020-02-29T23:59:59.999999Z", occurredTo: "2020-03-01T00:00:00Z" }
    assert.deepStrictEqual(await idsOf(database, day), [ids.late])
    assert.deepStrictEqual(await idsOf(database, { ...day, occurredTo: day.occurredFrom }), [])
    assert.deepStrictEqual(await idsOf(database, { occurredTo: "2020-03-01T01:00:00.000000+01:00" }), [ids.late])
    assert.deepStrictEqual(await idsOf(database, { occurredFrom: "2100-01-01T00:00Z" }), [ids.early])
    const everything = await idsOf(database, { occurredFrom: "0001-01-01T00:00:00Z" })
    const timed = (await newestFirst(database)).filter((id) => id !== ids.timeless)
    assert.deepStrictEqual(everything, timed)
    assert.deepStrictEqual(await idsOf(database, { occurredTo: "9999-12-31T23:59:59Z" }), timed)
  })

  it("finds events by time, whether they were created then or long after", async () => {
    const { events } = await list(database, { status: "completed" })
    for (const { eventId } of events) {
      const { occurredAt } = await database.call<{
        occurredAt: string
      }>("outbox_get_event", { topic, event_id: eventId })
      const moment = { occurredFrom: occurredAt, occurredTo: `${occurredAt.slice(0, 4)}-12-31T00:00:00Z` }
      assert.include(await idsOf(database, moment), eventId)
      assert.notInclude(await idsOf(database, { occurredTo: occurredAt }), eventId)
    }
  })

  it("treats a null filter as a missing one", async () => {
    const nothing = {
      status: null,
      key: null,
      record: null,
      occurredFrom: null,
      occurredTo: null,
      after: null
    }
    assert.deepStrictEqual(await list(database, nothing), await list(database))
  })

  it("shows a user only what the topic lets them see, such as a coordinator their own mentors", async () => {
    const own = await idsOf(database, { key: mentor })
    assert.deepStrictEqual(await idsOf(database, { userId: coordinator }), own)
    const other = (await list(database, { status: "failed" })).events[0]?.key
    assert.deepStrictEqual(await idsOf(database, { userId: coordinator, key: other }), [])
    assert.deepStrictEqual(await idsOf(database, { userId: coordinator, status: "failed" }), [])
    assert.deepStrictEqual(await idsOf(database, { userId: foreignEvent().mentorId }), [])
    const first = await list(database, { userId: coordinator, limit: 1 })
    const rest = await list(database, { userId: coordinator, limit: 2, after: first.next })
    assert.deepStrictEqual(
      [...first.events, ...rest.events].map(({ eventId }) => eventId),
      own
    )
    assert.isNull(rest.next)
  })

  it("shows an event to a coordinator of its mentor, and to others as if it did not exist", async () => {
    const event_id = ids.late
    const read = (user_id: string | null) => database.call("outbox_get_event", { topic, event_id, user_id })
    assert.deepInclude(await read(coordinator), { eventId: event_id, key: mentor })
    assert.deepInclude(await read(null), { eventId: event_id })
    assert.isNull(await read(foreignEvent().mentorId))
  })

  it("shows with one event its attempts, oldest first, and its newest dead letter", async () => {
    const event_id = await inState.redriven(database)
    const token = await claim(database, event_id)
    await complete(database, event_id, token, { notified: 2 })
    const event = await database.call<{
      attempts: ReadonlyArray<Record<string, unknown>>
      deadLetter: Record<string, unknown>
      receipt: unknown
    }>("outbox_get_event", { topic, event_id })
    assert.deepStrictEqual(event.receipt, { notified: 2 })
    assert.deepStrictEqual(
      event.attempts.map(({ why, outcome, attempt }) => [why, outcome, attempt]),
      [
        ["commit", "permanent", 1],
        ["redrive", "completed", 2]
      ]
    )
    const [first = {}] = event.attempts
    assert.sameMembers(Object.keys(first), [
      "attempt",
      "why",
      "outcome",
      "dispatchedAt",
      "endedAt",
      "httpStatus",
      "error",
      "durationMs"
    ])
    assert.sameMembers(Object.keys(event.deadLetter), [
      "id",
      "reason",
      "attempts",
      "firstFailedAt",
      "lastFailedAt",
      "lastError",
      "createdAt",
      "resolution",
      "resolvedAt",
      "notes"
    ])
    assert.include(event.deadLetter, { reason: "refused", resolution: "redriven", notes: null })
  })
})

describe("the pages of the list", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  it("contain each event once, at any size, even if many were created in the same microsecond", async () => {
    await pausedEvents(own, 23)
    await own.rows("update outbox.events set created_at = date_trunc('second', created_at)")
    const everything = await newestFirst(own)
    for (const limit of [1, 2, 7, 22, 23, 24, 100]) {
      assert.deepStrictEqual(await allPages(own, { limit }), everything, `pages of ${limit}`)
    }
  })

  it("end with null, even if the last page is full", async () => {
    await pausedEvents(own, 4)
    assert.isNull((await list(own, { limit: 4 })).next)
    assert.isNotNull((await list(own, { limit: 3 })).next)
    await own.rows("delete from outbox.events")
    assert.deepStrictEqual(await list(own, { limit: 1 }), { events: [], next: null })
  })

  it("show each event once while many writers add others", async () => {
    await pausedEvents(own, 40)
    const everything = await newestFirst(own)
    const seen = await allPages(own, { limit: 5 }, () => Promise.all([pausedEvents(own, 3), pausedEvents(own, 3)]))
    assert.deepStrictEqual(seen, everything)
    assert.isAbove((await newestFirst(own)).length, everything.length)
  })

  it("continue although the event that they ended with was erased", async () => {
    const events = await pausedEvents(own, 9)
    for (const { eventId } of events) await settle(own, eventId)
    const everything = await newestFirst(own)
    const seen = await allPages(own, { limit: 3 }, async (page) => {
      const event_id = everything[page * 3 - 1]
      assert.deepStrictEqual(await own.call("outbox_erase", { topic, event_id }), { outcome: "erased" })
    })
    assert.deepStrictEqual(seen, everything)
  })

  it("show each event once although its status changes", async () => {
    const events = await pausedEvents(own, 12)
    const everything = await newestFirst(own)
    const seen = await allPages(own, { limit: 4 }, (page) => settle(own, events[page]?.eventId ?? ""))
    assert.deepStrictEqual(seen, everything)
  })
})
