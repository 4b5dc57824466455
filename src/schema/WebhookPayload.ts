import * as Schema from "effect/Schema"
import { envelope } from "./Envelope.ts"
import { MentorId } from "./Identifiers.ts"

const record = Schema.Struct({
  id: MentorId,
  status: Schema.String,
  updated_at: Schema.optionalKey(Schema.Unknown)
})

/** A new mentor profile. **Shape** Supabase's INSERT webhook: `old_record` is null. */
export const InsertPayload = Schema.Struct({
  type: Schema.Literal("INSERT"),
  ...envelope,
  record,
  old_record: Schema.optionalKey(Schema.Null)
})

/** A changed mentor profile. **Shape** Supabase's UPDATE webhook: both rows, of which we read id and status. */
export const UpdatePayload = Schema.Struct({
  type: Schema.Literal("UPDATE"),
  ...envelope,
  record,
  old_record: Schema.Struct({ status: Schema.String })
})

/**
 * The payload of pause-status: Supabase's database webhook, with our envelope when the outbox sent it. Unknown keys are
 * ignored, so a profile may have any other column.
 *
 * **Shape** `{ type, table, schema, record, old_record, topic?, event_id?, version?, timestamp?, force? }`.
 * **Source** outbox.events, or a stock dashboard webhook.
 */
export const WebhookPayload = Schema.Union([InsertPayload, UpdatePayload])
export type WebhookPayload = typeof WebhookPayload.Type
