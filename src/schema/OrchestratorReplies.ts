import * as Schema from "effect/Schema"
import { Receipt } from "./Receipt.ts"

/**
 * The orchestrator's answers to an array of events, in order: 200 with the receipt, or the status that the event would
 * have got alone.
 */
export const OrchestratorBatchReply = Schema.Struct({
  results: Schema.Array(
    Schema.Struct({ eventId: Schema.String, status: Schema.Int, receipt: Schema.optionalKey(Receipt) })
  )
})
