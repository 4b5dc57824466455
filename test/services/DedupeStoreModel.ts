import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import type { Claim, DedupeStore, OutboxEvent } from "../../src/services/DedupeStore.ts"
import { claimOne, complete, release } from "../support/layers.ts"

// `held` picks one of the claims that were ever granted: an old one as often as the current one.
const Step = Schema.Union([
  Schema.Struct({ do: Schema.Literal("claim") }),
  Schema.Struct({ do: Schema.Literal("expire") }),
  Schema.Struct({
    do: Schema.Literals(["complete", "release", "refuse"]),
    held: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
  })
])
const Steps = Schema.Array(Step).check(Schema.isMaxLength(12))

type Model =
  | { readonly is: "new" }
  | { readonly is: "free" | "held" | "expired" | "done" | "dead"; readonly by: number }

const expectedOfClaim = {
  new: "Claimed",
  free: "Claimed",
  expired: "Claimed",
  held: "EventInFlight",
  done: "AlreadyProcessed",
  dead: "EventDeadLettered"
} as const

const ends = {
  complete: { settled: "completed", next: "done" },
  release: { settled: "released", next: "free" },
  refuse: { settled: "dead", next: "dead" }
} as const

const settledAs = { new: "stale", free: "stale", held: "stale", expired: "stale", done: "completed", dead: "dead" }

const settlementOf = {
  complete: (claim: Claim) => complete(claim, { token: claim.token }),
  release: (claim: Claim) => release(claim, { kind: "transient", message: "status 503" }),
  refuse: (claim: Claim) => release(claim, { kind: "permanent", message: "status 400", status: 400 })
}

/** One property for all orders of events: the store answers as a three-line model does. */
export const followsTheModel = ({
  expireLease,
  layer,
  queued
}: {
  readonly layer: () => Layer.Layer<DedupeStore, unknown>
  readonly expireLease: (claim: Claim) => Effect.Effect<void>
  /** A new event of the outbox. */
  readonly queued: Effect.Effect<OutboxEvent>
}) => {
  it.effect.prop(
    "any order of claims, settlements and expiries ends as the model says",
    [Steps],
    ([steps]) =>
      Effect.gen(function* () {
        const event = yield* queued
        const claims: Array<Claim> = []
        let model: Model = { is: "new" }
        for (const step of steps) {
          if (step.do === "claim") {
            const tag = yield* Effect.match(claimOne(event), {
              onSuccess: (claim) => (claims.push(claim), "Claimed"),
              onFailure: (error) => error._tag
            })
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
            const isSettled: boolean = (model.is === "done" || model.is === "dead") && model.by === held
            const settled = yield* settlementOf[step.do](claim)
            assert.strictEqual(settled, isHolder ? ends[step.do].settled : isSettled ? settledAs[model.is] : "stale")
            if (isHolder) model = { is: ends[step.do].next, by: held }
          }
        }
        const tokens = claims.map((claim) => claim.token)
        assert.deepStrictEqual(
          tokens,
          [...new Set(tokens)].toSorted((one, other) => one - other)
        )
      }).pipe(Effect.provide(layer())),
    { timeout: 300_000, arbitrary: { runs: 50, size: 12 } }
  )
}
