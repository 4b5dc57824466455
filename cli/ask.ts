import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import { Output } from "./Output.ts"

/** A flag that is off by default. */
export const switchFlag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

export const dryRunFlag = switchFlag("dry-run", "Show the plan and change nothing")

export const yesFlag = switchFlag("yes", "Ask nothing: take the defaults and go ahead").pipe(Flag.withAlias("y"))

/** Whether a person can answer. */
export const canAsk = Effect.fnUntraced(function* (goAhead: boolean) {
  const { canPrompt } = yield* TerminalCapabilities.TerminalCapabilities
  const { json } = yield* Output
  return canPrompt && !json && !goAhead
})

/** Asks whether to carry out the plan that was just shown. */
export const confirm = Effect.fn("confirm")(function* (goAhead: boolean) {
  return (yield* canAsk(goAhead)) ? yield* Prompt.Confirm({ message: "Go ahead?", initial: true }) : true
})
