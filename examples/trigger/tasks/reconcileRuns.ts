import { logger, runs, schedules } from "@trigger.dev/sdk"
import { failEvent, topics } from "../lib/failEvent.ts"

// onFailure is called for none of these but FAILED, and there it may have failed itself.
const unfinished = ["FAILED", "CRASHED", "SYSTEM_FAILURE", "TIMED_OUT", "EXPIRED", "CANCELED"] as const

// A run waits at most 14 days for its start.
const days = 15

/** Every five minutes, turns the events of unfinished runs into dead letters, unless they already are. */
export const reconcileRuns = schedules.task({
  id: "reconcile-runs",
  cron: "*/5 * * * *",
  run: async ({ timestamp }) => {
    const from = timestamp.getTime() - days * 86_400_000
    const outcomes: Record<string, number> = {}
    for await (const run of runs.list({
      status: [...unfinished],
      taskIdentifier: Object.keys(topics),
      from,
      limit: 100
    })) {
      const topic = topics[run.taskIdentifier]
      const eventId = run.tags.find((tag) => tag.startsWith("event:"))?.slice("event:".length)
      if (topic === undefined || eventId === undefined) continue
      const outcome = await failEvent({ topic, eventId, runId: run.id }, `the run ${run.id} ended as ${run.status}`)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    logger.info("runs that did not finish", outcomes)
    return outcomes
  }
})
