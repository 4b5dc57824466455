import { type Check, ofOutbox } from "../Check.ts"
import { verdictOf } from "../Finding.ts"

const scheduled = ofOutbox("cron jobs", ({ jobs }) =>
  verdictOf(
    jobs.flatMap(({ problem, scheduled }) =>
      scheduled ? [] : { detail: `${problem}.`, cure: "Do what it says; pg_cron must be installed and running." }
    ),
    jobs.map(({ name }) => name).join(", ")
  )
)

const heartbeats = ofOutbox("heartbeats", ({ jobs, lastSweepAt }) =>
  verdictOf(
    jobs.flatMap(({ name, problem, scheduled }) =>
      // A job that is not scheduled is silent, too; the other check reports it.
      scheduled && problem !== undefined
        ? {
            detail: `${problem}.`,
            cure: `Read last_error of '${name}' in outbox.heartbeats, and the latest cron.job_run_details.`
          }
        : []
    ),
    `the last sweep ended at ${lastSweepAt ?? "an unknown time"}`
  )
)

export const checks: ReadonlyArray<Check> = [scheduled, heartbeats]
