import * as Schema from "effect/Schema"
import { EventId, EventTime, Traceparent, Version } from "./Identifiers.ts"

/**
 * The fields that a payload of any topic may have besides its rows. A topic's Schema spreads it.
 *
 * **Shape** the outbox sends all of it; a stock webhook sends `table` and `schema`. `force` marks an event that a person
 * redrove although a newer one has been handled; `redrive` counts how often one was redriven;
 * `traceparent` names its trace.
 *
 * @example
 * Schema.Struct({ ...envelope, type: Schema.Literal("INSERT"), record: Schema.Struct({ id: Schema.String }) })
 */
export const envelope = {
  topic: Schema.optionalKey(Schema.String),
  table: Schema.optionalKey(Schema.String),
  schema: Schema.optionalKey(Schema.String),
  event_id: Schema.optionalKey(EventId),
  version: Schema.optionalKey(Version),
  timestamp: Schema.optionalKey(EventTime),
  force: Schema.optionalKey(Schema.Boolean),
  redrive: Schema.optionalKey(Version),
  traceparent: Schema.optionalKey(Traceparent)
}

/** The watched columns of a row, under the names that the topic's payload has for them. */
const Row = Schema.Record(Schema.String, Schema.Unknown)

/**
 * What the payloads of all topics have in common.
 *
 * **Shape** Supabase's database webhook with our envelope; `old_record` is null or missing for an INSERT.
 * **Source** outbox.events, or a stock dashboard webhook.
 */
export const AnyPayload = Schema.Struct({
  type: Schema.Literals(["INSERT", "UPDATE"]),
  ...envelope,
  record: Row,
  old_record: Schema.optionalKey(Schema.NullOr(Row))
})
export type AnyPayload = typeof AnyPayload.Type

/**
 * The body of a delivery that carries several events, each validated and settled on its own.
 *
 * **Shape** a JSON array of 1 to 200 payloads, of different keys when the outbox sent it.
 */
export const PayloadBatch = Schema.Array(Schema.Unknown).check(Schema.isMinLength(1), Schema.isMaxLength(200))
