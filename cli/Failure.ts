import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/**
 * A command that cannot do its work. `hint` says what to do next.
 *
 * **Exit codes** 0: done, nothing is wrong. 1: something is wrong or needs you, and the output says what to do. 2: the
 * command could not run, for example because of an unknown flag, no project or no connection.
 */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  message: Schema.String,
  hint: Schema.optionalKey(Schema.String),
  exitCode: Schema.Literals([1, 2])
}) {
  override readonly [Runtime.errorReported] = false
  override get [Runtime.errorExitCode]() {
    return this.exitCode
  }
}

/** The command has printed what is wrong. Only its exit code is left. */
export class NeedsYou extends Schema.TaggedError<NeedsYou>()("NeedsYou", {}) {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 1
}

/** The command could not run: exit code 2. */
export const cannotRun = (message: string, hint?: string): Failure =>
  new Failure({ message, exitCode: 2, ...(hint === undefined ? {} : { hint }) })

/** The command stops because something is wrong: exit code 1. */
export const refused = (message: string, hint?: string): Failure =>
  new Failure({ message, exitCode: 1, ...(hint === undefined ? {} : { hint }) })
