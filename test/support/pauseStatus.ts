import * as NodeServices from "@effect/platform-node/NodeServices"
import type * as Cause from "effect/Cause"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Terminal from "effect/Terminal"
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

/** Somebody at the terminal who presses these keys, one after the other. */
const typing = (keys: Array<string>) =>
  Terminal.make({
    columns: Effect.succeed(80),
    rows: Effect.succeed(24),
    size: Effect.flatMap(Queue.unbounded<Terminal.Size, Cause.Done>(), (queue) =>
      Effect.as(Queue.offer(queue, { columns: 80, rows: 24 }), queue)
    ),
    readLine: Effect.die("no prompt reads lines"),
    readInput: Effect.gen(function* () {
      const queue = yield* Queue.unbounded<Terminal.UserInput, Cause.Done>()
      for (let key = keys.shift(); key !== undefined; key = keys.shift()) {
        const isNamed = key.length > 1
        yield* Queue.offer(queue, {
          input: isNamed ? Option.none() : Option.some(key),
          key: { name: key, ctrl: false, meta: false, shift: false }
        })
        if (key === "enter") break
      }
      return queue
    }),
    display: () => Effect.void
  })

/** Runs the command as main.ts does, in this process; at a terminal, if anybody types. */
export const pauseStatus = (...args: ReadonlyArray<string>) => atTerminal(undefined, ...args)

export const atTerminal = (keys: ReadonlyArray<string> | undefined, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { console, kept } = keepingConsole()
    const services =
      keys === undefined
        ? NodeServices.layer
        : Layer.merge(NodeServices.layer, Layer.succeed(Terminal.Terminal, typing([...keys])))
    const exit = yield* run(args).pipe(
      Effect.provideService(Console.Console, console),
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, {
        canColor: false,
        canAnimate: false,
        canPrompt: keys !== undefined
      }),
      Effect.provide(services),
      Effect.exit
    )
    const code = yield* Effect.callback<number>((resume) =>
      Runtime.defaultTeardown(exit, (code) => resume(Effect.succeed(code)))
    )
    return { code, ...kept } satisfies Ended
  })
