import { logger } from "@trigger.dev/sdk"
import { setTimeout as wait } from "node:timers/promises"
import { rpc } from "./database.ts"
import { isObject } from "./json.ts"

/** The topic whose events a task handles. */
export const topics: Readonly<Record<string, string>> = {
  "notify-coordinators": "pause-status",
  "process-order": "order-created"
}

const settleTries = 5
const settlePause = 1_000

/**
 * Turns a failed run's event into a dead letter with the reason, so that a person can redrive it. The receipt names the
 * run. If the event was redriven since, it belongs to another run and stays as it is.
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

/** A task's onFailure hook. The platform ignores errors of hooks, so reconcile-runs reports what this cannot. */
export const deadLetter = async ({ ctx, error, payload }: Failure): Promise<void> => {
  const topic = topics[ctx.task.id]
  const eventId = isObject(payload) ? (payload["eventId"] ?? payload["event_id"]) : undefined
  if (topic === undefined || typeof eventId !== "string") return
  const message = error instanceof Error ? error.message : String(error)
  const outcome = await failEvent({ topic, eventId, runId: ctx.run.id }, message)
  logger.error("the event is a dead letter", { topic, eventId, outcome })
}
