import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { Schema } from "effect"
import { EventId, EventTime, MentorId } from "../../src/schema/Identifiers.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import type { OutboxEvent } from "../../src/services/DedupeStore.ts"

export const mentorId = MentorId.make("3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b")
export const eventId = EventId.make("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d")
const occurredAt = EventTime.make("2026-11-22T09:30:00.123456Z")

const utf8 = new TextEncoder()

/** The bytes a sender puts on the wire for a JSON value. */
export const bytesOf = (value: unknown): Uint8Array<ArrayBuffer> => utf8.encode(JSON.stringify(value))

const fixtures = new URL("../fixtures/", import.meta.url)

/** The exact bytes of a recorded body. */
export const fixture = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(new URL(name, fixtures)))

/** What the outbox sends when a mentor is paused. */
export const outboxPause = {
  type: "UPDATE",
  table: "peer_mentor_profiles",
  record: { id: mentorId, status: "paused" },
  schema: "public",
  version: 7,
  event_id: eventId,
  timestamp: occurredAt,
  old_record: { id: mentorId, status: "active" }
}

/** A new mentor's PAUSE, as the outbox sends it: no two are of one event. */
export const newPause = () => {
  const id = randomUUID()
  return {
    ...outboxPause,
    record: { id, status: "paused" },
    version: 1,
    event_id: randomUUID(),
    old_record: { id, status: "active" }
  }
}

/** What a stock dashboard webhook sends for any change of status. */
export const dashboardUpdate = (
  oldStatus: string,
  newStatus: string,
  updatedAt: unknown = "2026-11-22T09:30:00.123456+00:00"
) => ({
  type: "UPDATE",
  table: "peer_mentor_profiles",
  record: { id: mentorId, status: newStatus, updated_at: updatedAt },
  schema: "public",
  old_record: { id: mentorId, status: oldStatus, updated_at: "2026-11-21T08:00:00+00:00" }
})

/** The event of `outboxPause`. */
export const pauseEvent: PauseEvent = {
  eventId,
  mentorId,
  transition: "PAUSE",
  oldStatus: "active",
  newStatus: "paused",
  occurredAt,
  version: 7,
  source: "outbox"
}

/** A PAUSE of a new mentor, so that stores may be shared by tests. */
export const newEvent = (): PauseEvent => ({
  eventId: EventId.make(randomUUID()),
  mentorId: MentorId.make(randomUUID()),
  transition: "PAUSE",
  oldStatus: "active",
  newStatus: "paused",
  occurredAt,
  version: 1,
  source: "outbox"
})

/** A PauseEvent as the claim store gets it. */
export const entryOf = (event: PauseEvent): OutboxEvent => {
  const { eventId, mentorId, newStatus, occurredAt, oldStatus, source, version } = event
  return {
    eventId,
    topic: "pause-status",
    key: mentorId,
    ...(version !== undefined && { version }),
    occurredAt,
    source,
    record: { id: mentorId, status: newStatus },
    oldRecord: { status: oldStatus }
  }
}

/** What the claim store gets of a new mentor's PAUSE. */
export const newEntry = (): OutboxEvent => entryOf(newEvent())

/** What the claim store gets of a new mentor's changes, in their order. */
export const entriesOf = (events: ReadonlyArray<PauseEvent>): ReadonlyArray<OutboxEvent> => events.map(entryOf)

/** The changes of a new mentor, in their order. */
export const changes = (count: number): ReadonlyArray<PauseEvent> => {
  const pause = newEvent()
  const resume = { ...pause, transition: "RESUME", oldStatus: "paused", newStatus: "active" } as const
  return Array.from({ length: count }, (_, index) => ({
    ...(index % 2 === 0 ? pause : resume),
    eventId: EventId.make(randomUUID()),
    version: index + 1
  }))
}

const oneIn = (sides: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: sides }))
const activeOrPaused = Schema.Literals(["active", "paused"])
const oddStatus = Schema.Union([Schema.Literals(["retired", "Paused", " active"]), Schema.String])
const time = Schema.Literals(["2026-11-22T09:30:00.123456Z", "2026-11-22 09:30:00.123457+00", "2026-11-22T09:30:00"])

/** Where generated payloads come from: mostly legal, with one member wrong in a third of them. */
export const RoughPayload = Schema.Struct({
  insertAt: oneIn(8),
  id: Schema.Literals([mentorId, mentorId.toUpperCase(), "00000000-0000-0000-0000-000000000000"]),
  oldStatus: activeOrPaused,
  newStatus: activeOrPaused,
  oddAt: oneIn(8),
  odd: oddStatus,
  updatedAt: Schema.Union([time, time, Schema.Undefined, Schema.Unknown]),
  timestamp: Schema.Union([time, Schema.Undefined]),
  eventId: Schema.Union([
    Schema.Literals([eventId, eventId.toUpperCase(), "6b1f0c52-7c1d-4c8e-b6a5-0f2d9c3e4b1a"]),
    Schema.Undefined
  ]),
  version: Schema.Union([Schema.Literals([1, 7, Number.MAX_SAFE_INTEGER]), Schema.Undefined]),
  wrongAt: oneIn(3),
  wrong: Schema.Struct({
    where: Schema.Literals(["root", "record", "old_record"]),
    key: Schema.Literals(["type", "table", "schema", "record", "old_record", "event_id", "version", "timestamp"]),
    column: Schema.Literals(["id", "status"]),
    value: Schema.Union([Schema.Null, Schema.Literals([0, 1.5, "", "active", "yesterday", "DELETE"]), Schema.Unknown])
  })
})
export type RoughPayload = typeof RoughPayload.Type

/** The JSON value of a rough payload. */
export const roughJson = (rough: RoughPayload) => {
  const { wrong } = rough
  const isInsert = rough.insertAt === 1
  const where = rough.wrongAt === 1 ? wrong.where : undefined
  const columns = (of: string) => (where === of ? { [wrong.column]: wrong.value } : {})
  const newStatus = rough.oddAt === 1 ? rough.odd : rough.newStatus
  const oldStatus = rough.oddAt === 2 ? rough.odd : rough.oldStatus
  return {
    type: isInsert ? "INSERT" : "UPDATE",
    table: "peer_mentor_profiles",
    record: { id: rough.id, status: newStatus, updated_at: rough.updatedAt, ...columns("record") },
    schema: "public",
    version: rough.version,
    event_id: rough.eventId,
    timestamp: rough.timestamp,
    old_record: isInsert ? null : { id: rough.id, status: oldStatus, ...columns("old_record") },
    ...(where === "root" && { [wrong.key]: wrong.value })
  }
}
