import * as Schema from "effect/Schema"

/**
 * What the orchestrator answered when it accepted an event; kept with the event and returned to duplicates.
 *
 * **Shape** a JSON object; ours holds `notified` and `notificationIds`, another orchestrator's holds what it likes.
 */
export const Receipt = Schema.Record(Schema.String, Schema.Unknown)
export type Receipt = typeof Receipt.Type

/** Whether nobody was notified. A receipt of another orchestrator, without the number `notified`, says nothing of that. */
export const reachedNobody = (receipt: Receipt): boolean => receipt["notified"] === 0
