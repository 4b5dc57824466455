import { logger } from "@trigger.dev/sdk"
import { setTimeout as wait } from "node:timers/promises"
import { rpc } from "./database.ts"
import { isObject } from "./json.ts"

/** Which topic's events a task works on. */
export const topics: Readonly<Record<string, string>> = {
  "notify-coordinators": "pause-status",
  "process-order": "order-created"
}

const settleTries = 5
const settlePause = 1_000

/**
 * Makes the event of a run that failed a dead letter, with the reason, where a person finds and redrives it. The receipt
 * names the run: an event that was redriven since is another run's, and left alone.
 */
export const failEvent = async (
  event: { readonly topic: string; readonly eventId: string; readonly runId: string },
  message: string
): Promise<string> => {
  const { eventId, runId, topic } = event
  for (let left = settleTries; ; left--) {
    const answer = await rpc("outbox_fail", { topic, event_id: eventId, message, receipt: { runId } })
    const outcome = isObject(answer) ? String(answer["outcome"]) : "unknown"
    // The run ended before the handler had settled its event.
    if (outcome === "in_flight" && left > 1) await wait(settlePause)
    else return outcome
  }
}

interface Failure {
  readonly payload: unknown
  readonly error: unknown
  readonly ctx: { readonly run: { readonly id: string }; readonly task: { readonly id: string } }
}

/** The onFailure hook of a task. What it cannot report, reconcile-runs does: the platform ignores errors of hooks. */
export const deadLetter = async ({ ctx, error, payload }: Failure): Promise<void> => {
  const topic = topics[ctx.task.id]
  const eventId = isObject(payload) ? (payload["eventId"] ?? payload["event_id"]) : undefined
  if (topic === undefined || typeof eventId !== "string") return
  const message = error instanceof Error ? error.message : String(error)
  const outcome = await failEvent({ topic, eventId, runId: ctx.run.id }, message)
  logger.error("the event is a dead letter", { topic, eventId, outcome })
}
