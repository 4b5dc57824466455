import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { detectTransitionDirection } from "../../src/topics/Transition.ts"

describe("detectTransitionDirection", () => {
  it.each([
    ["active", "paused", { type: "PAUSE" }],
    ["paused", "active", { type: "RESUME" }],
    ["active", "active", { type: "NO_CHANGE", reason: "unchanged" }],
    ["paused", "paused", { type: "NO_CHANGE", reason: "unchanged" }],
    ["retired", "retired", { type: "NO_CHANGE", reason: "unchanged" }],
    ["active", "retired", { type: "NO_CHANGE", reason: "unrecognised" }],
    ["retired", "paused", { type: "NO_CHANGE", reason: "unrecognised" }],
    ["active", "Paused", { type: "NO_CHANGE", reason: "unrecognised" }],
    ["active", " paused", { type: "NO_CHANGE", reason: "unrecognised" }],
    ["", "paused", { type: "NO_CHANGE", reason: "unrecognised" }],
    [null, "active", { type: "NO_CHANGE", reason: "inserted" }],
    [null, "paused", { type: "NO_CHANGE", reason: "inserted" }]
  ] as const)("from %j to %j is %j", (oldStatus, newStatus, expected) => {
    assert.deepStrictEqual(detectTransitionDirection(oldStatus, newStatus), expected)
  })

  it.prop(
    "only active and paused make a transition, and the way back makes the other one",
    [
      Schema.Union([Schema.Literals(["active", "paused"]), Schema.String]),
      Schema.Union([Schema.Literals(["active", "paused"]), Schema.String])
    ],
    ([from, to]) => {
      const names = { PAUSE: "RESUME", RESUME: "PAUSE", NO_CHANGE: "NO_CHANGE" } as const
      const there = detectTransitionDirection(from, to)
      assert.strictEqual(detectTransitionDirection(to, from).type, names[there.type])
      assert.strictEqual(
        there.type !== "NO_CHANGE",
        `${from} ${to}` === "active paused" || `${from} ${to}` === "paused active"
      )
    }
  )
})
