import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { EventStatus, PagePosition } from "./Events.ts"
import { Direction } from "./Transition.ts"

const timePattern =
  /^(?!0000)(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)$/u

const isLeap = (year: number) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const daysOf = (year: number, month: number) =>
  month === 2 ? (isLeap(year) ? 29 : 28) : month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31

const isCalendarDay = (text: string): boolean => {
  const [, year, month, day] = timePattern.exec(text) ?? []
  return Number(day) <= daysOf(Number(year), Number(month))
}

const expectedTime = "a time such as 2026-11-22T09:30:00Z, with + of an offset written as %2B"

// RFC 3339 with its zone, up to microseconds; never a Date.
const TimeBound = Schema.String.check(
  Schema.isPattern(timePattern, { expected: expectedTime }).abort(),
  Schema.makeFilter(isCalendarDay, { expected: "a day that is in the calendar", toJsonSchema: () => ({}) })
)

/**
 * Where the next page begins, as text for a URL.
 *
 * **Shape** opaque base64url text from the previous reply.
 */
export const Cursor = Schema.StringFromBase64Url.pipe(
  // Anybody can write one: what Postgres would not take for a time must not come to it.
  Schema.decodeTo(Schema.fromJsonString(Schema.Struct({ ...PagePosition.fields, createdAt: TimeBound })))
)

const PageSize = Schema.String.check(
  Schema.isPattern(/^(?:[1-9]\d?|100)$/u, { expected: "a whole number from 1 to 100" })
).pipe(Schema.decodeTo(Schema.Int, SchemaTransformation.numberFromString))

// Postgres keeps neither a NUL nor half of a surrogate pair.
const Text = Schema.String.check(
  Schema.isPattern(/^[^\0\uD800-\uDFFF]*$/u, { expected: "text without NUL and lone surrogates" })
)

const Key = Text.check(Schema.isMinLength(1), Schema.isMaxLength(200))

/** What a record must contain. **Shape** the values of columns as they are sent; no objects or arrays. */
export const RecordFilter = Schema.Record(Text, Schema.Union([Text, Schema.Finite, Schema.Boolean, Schema.Null]))
export type RecordFilter = typeof RecordFilter.Type

/**
 * Which events a page shows, newest first.
 *
 * **Shape** `key` is compared as text; `record` is a JSON object whose members the event's record must have; `transition`
 * asks the same of a topic whose events are transitions. `occurredFrom` is inclusive, `occurredTo` exclusive; `limit` is 50
 * when it is left out.
 */
export const EventQuery = Schema.Struct({
  status: Schema.optionalKey(EventStatus),
  key: Schema.optionalKey(Key),
  record: Schema.optionalKey(Schema.fromJsonString(RecordFilter)),
  transition: Schema.optionalKey(Direction),
  occurredFrom: Schema.optionalKey(TimeBound),
  occurredTo: Schema.optionalKey(TimeBound),
  limit: Schema.optionalKey(PageSize),
  cursor: Schema.optionalKey(Cursor)
})
export type EventQuery = typeof EventQuery.Type

const Notes = Text.check(Schema.isMaxLength(2000))

/**
 * Sends a dead letter again, or an event that reached nobody.
 *
 * **Shape** `force` sends it even if a newer event has been handled; `dryRun` only says what would happen.
 */
export const Redrive = Schema.Struct({
  status: Schema.Literal("pending"),
  force: Schema.optionalKey(Schema.Boolean),
  dryRun: Schema.optionalKey(Schema.Boolean)
})
export type Redrive = typeof Redrive.Type

/**
 * Closes a dead letter without sending it, acknowledges an event that reached nobody, or cancels a pending one.
 *
 * **Shape** `notes` of the person who dealt with it, up to 2000 characters.
 */
export const Resolve = Schema.Struct({
  status: Schema.Literal("resolved"),
  notes: Schema.optionalKey(Notes),
  dryRun: Schema.optionalKey(Schema.Boolean)
})
export type Resolve = typeof Resolve.Type

/** What a person can do with an event. */
export const EventChange = Schema.Union([Redrive, Resolve])
export type EventChange = typeof EventChange.Type
