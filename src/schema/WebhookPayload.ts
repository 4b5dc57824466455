import * as Schema from "effect/Schema"
import { EventId, EventTime, MentorId, Version } from "./Identifiers.ts"

const origin = {
  table: Schema.Literal("peer_mentor_profiles"),
  schema: Schema.Literal("public"),
  event_id: Schema.optionalKey(EventId),
  version: Schema.optionalKey(Version),
  timestamp: Schema.optionalKey(EventTime)
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
 * **Shape** `{ type, table, schema, record, old_record, event_id?, version?, timestamp? }`.
 * **Source** pause_status.webhook_queue.payload, or a stock dashboard webhook.
 */
export const WebhookPayload = Schema.Union([InsertPayload, UpdatePayload])
export type WebhookPayload = typeof WebhookPayload.Type

/** What every legal payload has in common: says what is wrong with one whose `type` is neither of the two. */
export const PayloadOfAnyType = Schema.Struct({ type: Schema.Literals(["INSERT", "UPDATE"]), ...origin, record })
