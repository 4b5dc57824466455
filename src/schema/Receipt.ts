import * as Schema from "effect/Schema"

/**
 * What the orchestrator answered when it accepted an event; kept with the event and returned to duplicates.
 *
 * **Shape** a JSON object; ours has `notified` and `notificationIds`, another orchestrator's may have anything.
 */
export const Receipt = Schema.Record(Schema.String, Schema.Unknown)
export type Receipt = typeof Receipt.Type

/** Whether nobody was notified. Unknown, so false, if another orchestrator's receipt has no number `notified`. */
export const reachedNobody = (receipt: Receipt): boolean => receipt["notified"] === 0
