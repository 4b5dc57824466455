import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { run } from "../../cli/program.ts"

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A console that keeps what it is given, a text for each stream. */
export const keepingConsole = () => {
  const kept = { stdout: "", stderr: "" }
  const log = (...parts: ReadonlyArray<unknown>) => void (kept.stdout += `${parts.join(" ")}\n`)
  const error = (...parts: ReadonlyArray<unknown>) => void (kept.stderr += `${parts.join(" ")}\n`)
  return { kept, console: { ...globalThis.console, log, error } satisfies Console.Console }
}

/** Runs the command as main.ts does, in this process. */
export const pauseStatus = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { console, kept } = keepingConsole()
    const exit = yield* run(args).pipe(Effect.provideService(Console.Console, console), Effect.exit)
    const code = yield* Effect.callback<number>((resume) =>
      Runtime.defaultTeardown(exit, (code) => resume(Effect.succeed(code)))
    )
    return { code, ...kept } satisfies Ended
  }).pipe(Effect.provide(NodeServices.layer))
