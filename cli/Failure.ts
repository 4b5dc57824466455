import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/**
 * A command that cannot do its work. `hint` says what to do next.
 *
 * **Exit codes** 0: done, nothing is wrong. 1: something is wrong or needs you; the output says what to do. 2: the
 * command could not run: an unknown flag, no project, no connection.
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

/** The command has printed what is wrong, and only its exit code is left to say. */
export class NeedsYou extends Schema.TaggedError<NeedsYou>()("NeedsYou", {}) {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 1
}

/** The command could not run: exit code 2. */
export const cannotRun = (message: string, hint?: string): Failure =>
  new Failure({ message, exitCode: 2, ...(hint === undefined ? {} : { hint }) })

/** The command refuses to go on, because something is wrong: exit code 1. */
export const refused = (message: string, hint?: string): Failure =>
  new Failure({ message, exitCode: 1, ...(hint === undefined ? {} : { hint }) })
