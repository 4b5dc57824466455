import type { Run } from "./Runs.ts"

/** A registered task. **Shape** `concurrencyLimit` applies to each concurrency key separately. */
export interface Task {
  readonly id: string
  /** Five fields, in UTC. */
  readonly cron?: string
  readonly concurrencyLimit?: number
}

/** How an attempt ended. **Units** `retryInMilliseconds` from now on; without it, the run has failed permanently. */
export type AttemptResult =
  | { readonly ok: true; readonly output?: unknown }
  | { readonly ok: false; readonly error: RunError; readonly retryInMilliseconds?: number }

/** An error as the API shows it. */
export interface RunError {
  readonly message: string
  readonly name?: string
  readonly stackTrace?: string
}

/** Runs the tasks, like a deployment. */
export interface Worker {
  readonly tasks: ReadonlyArray<Task>
  readonly execute: (run: Run, signal: AbortSignal) => Promise<AttemptResult>
}
