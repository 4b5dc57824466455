import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Check, needsKey, refused } from "../Check.ts"
import { Facts } from "../Facts.ts"
import { verdictOf } from "../Finding.ts"

const outbox = Effect.flatMap(Facts, (facts) => facts.outbox)

const scheduled: Check = {
  name: "cron jobs",
  check: outbox.pipe(
    Effect.map(
      Option.match({
        onNone: () => needsKey,
        onSome: ({ jobs }) =>
          verdictOf(
            jobs.flatMap(({ problem, scheduled }) =>
              scheduled ? [] : { detail: `${problem}.`, cure: "Do what it says; pg_cron must be installed and running." }
            ),
            jobs.map(({ name }) => name).join(", ")
          )
      })
    ),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
}

const heartbeats: Check = {
  name: "heartbeats",
  check: outbox.pipe(
    Effect.map(
      Option.match({
        onNone: () => needsKey,
        onSome: ({ jobs, lastSweepAt }) =>
          verdictOf(
            jobs.flatMap(({ name, problem, scheduled }) =>
              // What is not scheduled is silent as well.
              scheduled && problem !== undefined
                ? {
                    detail: `${problem}.`,
                    cure: `Read last_error of '${name}' in outbox.heartbeats, and the latest cron.job_run_details.`
                  }
                : []
            ),
            `the last sweep ended at ${lastSweepAt ?? "an unknown time"}`
          )
      })
    ),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
}

export const checks: ReadonlyArray<Check> = [scheduled, heartbeats]
