import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Mode, next, split } from "../../../cli/secrets/rotation.ts"

describe("a rotation", () => {
  const after = (mode: Mode, current: string) => Effect.fromResult(next(mode, split(current), "whsec_fresh"))

  it.effect.each<readonly [mode: Mode, before: string, after: ReadonlyArray<string>, first: "function" | "postgres"]>([
    ["agree", "", ["whsec_fresh"], "function"],
    ["agree", "whsec_a", ["whsec_a"], "function"],
    ["agree", "whsec_b, whsec_a", ["whsec_b", "whsec_a"], "function"],
    ["rotate", "whsec_a", ["whsec_fresh", "whsec_a"], "function"],
    ["retire", " whsec_b whsec_a\n", ["whsec_b"], "postgres"]
  ])("%s with '%s' in Vault ends with %s, and begins with the right side", ([mode, before, secrets, first]) =>
    Effect.gen(function* () {
      assert.deepInclude(yield* after(mode, before), { secrets, first })
    })
  )

  it.effect.each<readonly [mode: Mode, before: string, says: string]>([
    ["agree", "whsec_a hunter2", "The secret in Vault is not of the form whsec_<base64>."],
    ["rotate", "", "There is no secret yet."],
    ["retire", "", "There is no secret yet."],
    ["rotate", "whsec_b whsec_a", "There are two secrets already: a rotation is under way."],
    ["retire", "whsec_a", "There is one secret, and none to retire."]
  ])("%s with '%s' in Vault is refused: %s", ([mode, before, says]) =>
    Effect.gen(function* () {
      assert.deepInclude(yield* Effect.flip(after(mode, before)), { message: says, exitCode: 1 })
    })
  )
})
