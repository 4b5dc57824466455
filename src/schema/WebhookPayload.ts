import * as Schema from "effect/Schema"
import { EventId, EventTime, MentorId, Version } from "./Identifiers.ts"

const origin = {
  table: Schema.Literal("peer_mentor_profiles"),
  schema: Schema.Literal("public"),
  event_id: Schema.optionalKey(EventId),
  version: Schema.optionalKey(Version),
  timestamp: Schema.optionalKey(EventTime),
  force: Schema.optionalKey(Schema.Boolean)
}

const record = Schema.Struct({
  id: MentorId,
  status: Schema.String,
  updated_at: Schema.optionalKey(Schema.Unknown)
})

/** A new mentor profile. **Shape** Supabase's INSERT webhook: `old_record` is null. */
export const InsertPayload = Schema.Struct({
  type: Schema.Literal("INSERT"),
  ...origin,
  record,
  old_record: Schema.optionalKey(Schema.Null)
})

/** A changed mentor profile. **Shape** Supabase's UPDATE webhook: both rows, of which we read id and status. */
export const UpdatePayload = Schema.Struct({
  type: Schema.Literal("UPDATE"),
  ...origin,
  record,
  old_record: Schema.Struct({ status: Schema.String })
})
export type UpdatePayload = typeof UpdatePayload.Type

/**
 * The body of a delivery: Supabase's database webhook, with our `event_id`, `version` and `timestamp` when the
 * outbox sent it. Unknown keys are ignored, so a profile may have any other column.
 *
 * **Shape** `{ type, table, schema, record, old_record, event_id?, version?, timestamp?, force? }`; `force` marks an
 * event that a person redrove although a newer one was told.
 * **Source** pause_status.webhook_queue.payload, or a stock dashboard webhook.
 */
export const WebhookPayload = Schema.Union([InsertPayload, UpdatePayload])
export type WebhookPayload = typeof WebhookPayload.Type

/** What every legal payload has in common: says what is wrong with one whose `type` is neither of the two. */
export const PayloadOfAnyType = Schema.Struct({ type: Schema.Literals(["INSERT", "UPDATE"]), ...origin, record })

/**
 * The body of a delivery that carries several events, each validated and settled on its own.
 *
 * **Shape** a JSON array of 1 to 200 payloads, of different mentors when the outbox sent it.
 */
export const WebhookBatch = Schema.Array(Schema.Unknown).check(Schema.isMinLength(1), Schema.isMaxLength(200))
