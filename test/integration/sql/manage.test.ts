import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, failureOf, openReadyDatabase } from "../../support/sql.ts"
import { type EventState, inState } from "../../support/states.ts"

const topic = "pause-status"

interface Expected {
  readonly state: EventState
  /** The status that readers see; null when they see no event. */
  readonly status: string | null
  readonly redrive: string
  readonly forced?: string
  readonly resolve: string
  readonly erase: string
}

const waiting = { redrive: "already_pending", resolve: "cancelled", erase: "not_settled" }
const claimed = { redrive: "already_pending", resolve: "in_flight", erase: "not_settled" }
const gone = { status: null, redrive: "unknown", resolve: "unknown" }

const states: ReadonlyArray<Expected> = [
  { state: "pending", status: "pending", ...waiting },
  { state: "processing", status: "processing", ...claimed },
  { state: "processing, its lease ended", status: "processing", ...claimed },
  { state: "pending again", status: "pending", ...waiting },
  { state: "pending, and somebody else's to send", status: "pending", ...waiting },
  { state: "completed", status: "completed", redrive: "not_failed", resolve: "not_failed", erase: "erased" },
  {
    state: "completed, and reached nobody",
    status: "completed",
    redrive: "redriven",
    resolve: "resolved",
    erase: "erased"
  },
  {
    state: "acknowledged: it reached nobody",
    status: "completed",
    redrive: "redriven",
    resolve: "already_resolved",
    erase: "erased"
  },
  {
    state: "pending, and cancelled",
    status: "failed",
    redrive: "redriven",
    resolve: "already_resolved",
    erase: "erased"
  },
  { state: "failed", status: "failed", redrive: "redriven", resolve: "resolved", erase: "not_settled" },
  {
    state: "failed, and superseded",
    status: "failed",
    redrive: "superseded",
    forced: "redriven",
    resolve: "resolved",
    erase: "not_settled"
  },
  { state: "resolved", status: "failed", redrive: "redriven", resolve: "already_resolved", erase: "erased" },
  { state: "redriven", status: "pending", ...waiting },
  { state: "erased after it was completed", ...gone, erase: "erased" },
  { state: "erased after it was resolved", ...gone, erase: "erased" },
  { state: "unknown", ...gone, erase: "unknown" }
]

const tried = (outcome: string): string =>
  ({ redriven: "would_redrive", resolved: "would_resolve", cancelled: "would_cancel" })[outcome] ?? outcome

const statusAfter = (outcome: string, before: string | null): string | null =>
  ({ redriven: "pending", cancelled: "failed" })[outcome] ?? before

describe("an event that is managed", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const manage = async (name: string, args: object) => {
    const answer = await database.call<{
      readonly outcome: string
      readonly event?: { readonly eventId: string; readonly status: string } | null
    }>(`outbox_${name}`, { topic, ...args })
    return { outcome: answer.outcome, status: answer.event?.status ?? null, eventId: answer.event?.eventId ?? null }
  }

  /** Everything that is stored about it. */
  const stored = (event_id: string) =>
    database.row(
      `select
         (select jsonb_agg(to_jsonb(q)) from outbox.events q where q.event_id = $1) as event,
         (select jsonb_agg(to_jsonb(d) order by d.id) from outbox.dead_letters d where d.event_id = $1) as letters,
         (select jsonb_agg(to_jsonb(a) order by a.id) from outbox.attempts a where a.event_id = $1) as attempts,
         (select jsonb_agg(to_jsonb(e)) from outbox.erased e where e.event_id = $1) as tombstones`,
      [event_id]
    )

  it("is tested in every state", () => {
    assert.sameMembers(
      states.map(({ state }) => state),
      Object.keys(inState)
    )
  })

  it.for(states)("is read when it is $state", async ({ state, status }) => {
    const event_id = await inState[state](database)
    const event = await database.call<{ status: string } | null>("outbox_get_event", { topic, event_id })
    assert.strictEqual(event?.status ?? null, status)
  })

  it.for(states)("is redriven when it is $state: $redrive", async ({ state, status, redrive }) => {
    const event_id = await inState[state](database)
    const before = await stored(event_id)
    const eventId = status === null ? null : event_id
    const dry = await manage("redrive", { event_id, dry_run: true })
    assert.deepStrictEqual(dry, { outcome: tried(redrive), status, eventId })
    assert.deepStrictEqual(await stored(event_id), before)
    const after = await manage("redrive", { event_id })
    assert.deepStrictEqual(after, { outcome: redrive, status: statusAfter(redrive, status), eventId })
    if (redrive !== "redriven") assert.deepStrictEqual(await stored(event_id), before)
  })

  it.for(states)("is redriven by force when it is $state: $redrive", async ({ state, redrive, forced = redrive }) => {
    const event_id = await inState[state](database)
    assert.strictEqual((await manage("redrive", { event_id, force: true, dry_run: true })).outcome, tried(forced))
    assert.strictEqual((await manage("redrive", { event_id, force: true })).outcome, forced)
    const again = forced === "redriven" ? "already_pending" : forced
    assert.strictEqual((await manage("redrive", { event_id, force: true })).outcome, again)
  })

  it.for(states)("is resolved when it is $state: $resolve", async ({ state, status, resolve }) => {
    const event_id = await inState[state](database)
    const before = await stored(event_id)
    const eventId = status === null ? null : event_id
    const dry = await manage("resolve", { event_id, notes: "told", dry_run: true })
    assert.deepStrictEqual(dry, { outcome: tried(resolve), status, eventId })
    assert.deepStrictEqual(await stored(event_id), before)
    const after = await manage("resolve", { event_id, notes: "told" })
    assert.deepStrictEqual(after, { outcome: resolve, status: statusAfter(resolve, status), eventId })
    if (!["resolved", "cancelled"].includes(resolve)) return assert.deepStrictEqual(await stored(event_id), before)
    assert.strictEqual((await manage("resolve", { event_id, notes: "again" })).outcome, "already_resolved")
    const { deadLetter, receipt } = await database.call<{ deadLetter: object | null; receipt: object | null }>(
      "outbox_get_event",
      { topic, event_id }
    )
    if (deadLetter === null) return assert.include(receipt, { notified: 0, acknowledged: true, notes: "told" })
    assert.include(deadLetter, { resolution: "resolved", notes: "told" })
  })

  it.for(states)("is erased when it is $state: $erase", async ({ state, erase }) => {
    const event_id = await inState[state](database)
    const before = await stored(event_id)
    const others = "select count(*)::int as others from outbox.events where event_id <> $1"
    const { others: kept } = await database.row<{ others: number }>(others, [event_id])
    assert.deepStrictEqual(await database.call("outbox_erase", { topic, event_id }), { outcome: erase })
    assert.deepStrictEqual(await database.row(others, [event_id]), { others: kept })
    if (erase !== "erased") return assert.deepStrictEqual(await stored(event_id), before)
    const after = await stored(event_id)
    assert.deepInclude(after, { event: null, letters: null, attempts: null })
    assert.lengthOf(after["tombstones"], 1)
    assert.deepStrictEqual(await database.call("outbox_erase", { topic, event_id }), { outcome: "erased" })
    assert.deepStrictEqual(await stored(event_id), after)
  })

  it("is not redriven if dry_run is neither true nor false", async () => {
    const event_id = await inState.failed(database)
    for (const args of [{ dry_run: null }, { force: null }]) {
      const failure = await failureOf(database.call("outbox_redrive", { topic, event_id, ...args }))
      assert.match(failure, /^22023: .* must be true or false, not null/)
    }
    const failure = await failureOf(database.call("outbox_resolve", { topic, event_id, dry_run: null }))
    assert.match(failure, /^22023: /)
    assert.strictEqual((await manage("redrive", { event_id, dry_run: true })).outcome, "would_redrive")
  })

  it("is resolved with notes of up to 8 KB, whatever they say", async () => {
    const notes = `'; drop table outbox.events; -- ${"ü".repeat(4_000)}`
    const event_id = await inState.failed(database)
    assert.strictEqual((await manage("resolve", { event_id, notes })).outcome, "resolved")
    const { deadLetter } = await database.call<{ deadLetter: object }>("outbox_get_event", { topic, event_id })
    assert.include(deadLetter, { notes })
    const other = await inState.failed(database)
    const failure = await failureOf(manage("resolve", { event_id: other, notes: "ü".repeat(4_097) }))
    assert.include(failure, "22023: notes must be at most 8192 bytes, but they are 8194")
    assert.strictEqual((await manage("resolve", { event_id: other, dry_run: true })).outcome, "would_resolve")
  })

  it.for(Object.keys(inState) as ReadonlyArray<EventState>)(
    "does not belong to another topic when it is %s",
    async (state) => {
      const event_id = await inState[state](database)
      const before = await stored(event_id)
      const other = { topic: "orders", event_id }
      assert.isNull(await database.call("outbox_get_event", other))
      for (const dry_run of [true, false]) {
        for (const name of ["redrive", "resolve"]) {
          const { outcome, status } = await manage(name, { ...other, dry_run })
          assert.deepStrictEqual({ outcome, status }, { outcome: "unknown", status: null })
        }
      }
      const { outcome } = await database.call<{ outcome: string }>("outbox_erase", other)
      assert.strictEqual(outcome, state.startsWith("erased") ? "erased" : "unknown")
      assert.deepStrictEqual(await stored(event_id), before)
    }
  )

  it("is redriven, or resolved, or erased, once by many at the same time", async () => {
    const event_id = await inState.failed(database)
    const calls = ["redrive", "resolve", "erase"].flatMap((name) => [name, name, name, name])
    const answers = await Promise.all(calls.map((name) => manage(name, { event_id })))
    const times = (outcome: string) => answers.filter((answer) => answer.outcome === outcome).length
    assert.isAtLeast(times("redriven") + times("resolved"), 1)
    // What was redriven is pending: a resolve cancels it, and only then another redrive has something to do.
    assert.isAtMost(times("redriven"), 1 + times("cancelled"))
    assert.isAtMost(times("cancelled"), times("redriven"))
    assert.isAtMost(times("resolved"), 1)
    const { letters } = await database.row<{ letters: number }>(
      "select count(*)::int as letters from outbox.dead_letters where event_id = $1 and resolution is null",
      [event_id]
    )
    assert.strictEqual(letters, 0)
  })
})
