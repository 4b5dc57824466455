import { AbortTaskRunError, task } from "@trigger.dev/sdk"
import type { PauseEvent } from "pause-status-webhook-handler"
import { rpc } from "../lib/database.ts"
import { deadLetter } from "../lib/failEvent.ts"
import { isObject } from "../lib/json.ts"

const refusals: Readonly<Record<string, string>> = {
  superseded: "a later event of the mentor was handled first: force a redrive to send this one anyway",
  payload_mismatch: "another payload was handled under this event id",
  invalid: "the event is malformed"
}

/** Writes one notification per coordinator, once per event. pause_status_notify keeps the receipts. */
export const notifyCoordinators = task({
  id: "notify-coordinators",
  // One run per mentor at a time, because the mentor's id is the concurrency key.
  queue: { concurrencyLimit: 1 },
  onFailure: deadLetter,
  run: async (event: PauseEvent) => {
    const answers = await rpc("pause_status_notify", { events: [event] })
    const answer: unknown = Array.isArray(answers) ? answers[0] : undefined
    if (!isObject(answer)) throw new Error("pause_status_notify answered nothing")
    const refusal = refusals[String(answer["outcome"])]
    if (refusal !== undefined) throw new AbortTaskRunError(refusal)
    const receipt = answer["receipt"]
    if (isObject(receipt) && receipt["notified"] === 0) {
      throw new AbortTaskRunError("nobody was notified: mentor_coordinators links no coordinator to the mentor")
    }
    return receipt
  }
})
