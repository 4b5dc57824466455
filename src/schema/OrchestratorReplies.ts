import * as Schema from "effect/Schema"
import { Receipt } from "./Receipt.ts"

/**
 * What the orchestrator answers to an array of events, in the order they came: 200 with the receipt, or the status that
 * the event alone would have been answered with.
 */
export const OrchestratorBatchReply = Schema.Struct({
  results: Schema.Array(
    Schema.Struct({ eventId: Schema.String, status: Schema.Int, receipt: Schema.optionalKey(Receipt) })
  )
})
