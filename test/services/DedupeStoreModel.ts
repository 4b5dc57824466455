import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { type Claim, DedupeStore } from "../../src/services/DedupeStore.ts"

// `held` picks one of the claims that were ever granted: an old one as often as the current one.
const Step = Schema.Union([
  Schema.Struct({ do: Schema.Literal("claim") }),
  Schema.Struct({ do: Schema.Literal("expire") }),
  Schema.Struct({
    do: Schema.Literals(["complete", "release"]),
    held: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
  })
])
const Steps = Schema.Array(Step).check(Schema.isMaxLength(12))

type Model =
  | { readonly is: "free" }
  | { readonly is: "held" | "expired"; readonly by: number }
  | { readonly is: "done"; readonly by: number }

const expectedOfClaim = {
  free: "Claimed",
  expired: "Claimed",
  held: "EventInFlight",
  done: "AlreadyProcessed"
} as const

/** One property for all orders of events: the store answers as a three-line model does. */
export const followsTheModel = ({
  expireLease,
  layer,
  newEvent
}: {
  readonly layer: () => Layer.Layer<DedupeStore, unknown>
  readonly expireLease: (claim: Claim) => Effect.Effect<void>
  readonly newEvent: () => PauseEvent
}) => {
  it.effect.prop(
    "any order of claims, settlements and expiries ends as the model says",
    [Steps],
    ([steps]) =>
      Effect.gen(function* () {
        const store = yield* DedupeStore
        const event = newEvent()
        const claims: Array<Claim> = []
        let model: Model = { is: "free" }
        for (const step of steps) {
          if (step.do === "claim") {
            const tag = yield* store.claim(event).pipe(
              Effect.match({
                onSuccess: (claim) => (claims.push(claim), "Claimed"),
                onFailure: (error) => error._tag
              })
            )
            assert.strictEqual(tag, expectedOfClaim[model.is])
            if (tag === "Claimed") model = { is: "held", by: claims.length - 1 }
          } else if (step.do === "expire") {
            const claim = claims.at(-1)
            if (model.is !== "held" || claim === undefined) continue
            yield* expireLease(claim)
            model = { is: "expired", by: model.by }
          } else {
            const held = Math.min(step.held, claims.length - 1)
            const claim = claims[held]
            if (claim === undefined) continue
            const isHolder: boolean = (model.is === "held" || model.is === "expired") && model.by === held
            const again: boolean = step.do === "complete" && model.is === "done" && model.by === held
            const settlement =
              step.do === "complete"
                ? yield* store.complete(claim, { by: held })
                : yield* store.release(claim, { kind: "transient", message: "status 503" })
            assert.strictEqual(settlement, isHolder || again ? "settled" : "stale")
            if (isHolder) model = step.do === "complete" ? { is: "done", by: held } : { is: "free" }
          }
        }
        const tokens = claims.map((claim) => claim.token)
        assert.deepStrictEqual(
          tokens,
          [...new Set(tokens)].toSorted((one, other) => one - other)
        )
      }).pipe(Effect.provide(layer())),
    { timeout: 60_000, arbitrary: { runs: 50, size: 12 } }
  )
}
