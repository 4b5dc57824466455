import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Direction, NoChangeReason, TransitionType } from "../../src/schema/Transition.ts"

describe("TransitionType", () => {
  it.prop("is a direction or NO_CHANGE, and a direction is never NO_CHANGE", [TransitionType], ([type]) => {
    assert.strictEqual(Schema.is(Direction)(type), type !== "NO_CHANGE")
  })

  it("is written in capitals, and its reasons in small letters", () => {
    const isType = Schema.is(TransitionType)
    assert.deepStrictEqual(["PAUSE", "RESUME", "NO_CHANGE", "pause", "resume", ""].map(isType), [
      true,
      true,
      true,
      false,
      false,
      false
    ])
    const isReason = Schema.is(NoChangeReason)
    assert.deepStrictEqual(["unchanged", "inserted", "unrecognised", "UNCHANGED"].map(isReason), [
      true,
      true,
      true,
      false
    ])
  })
})
