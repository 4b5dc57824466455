import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Schema } from "effect"
import { startExample, type World } from "../../support/world.ts"
import { expectRightMetrics } from "./metrics.ts"

let world: World

beforeAll(async () => {
  world = await startExample("opportunity-stage")
})
afterAll(() => world?.[Symbol.asyncDispose]())

const stages = ["prospecting", "qualification", "proposal", "negotiation", "closed_won", "closed_lost", "no stage"]
const whole = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** An event. `repeats` counts further deliveries; `isLost` undoes a delivery that a crash interrupted. */
const Step = Schema.Struct({
  opportunity: whole(3),
  stage: whole(stages.length - 1),
  cents: whole(1_000_000),
  repeats: whole(2),
  isLost: Schema.Boolean,
  isLate: Schema.Boolean
})

const CALL = "select public.move_opportunity($1)"

it.effect.prop(
  "the figures equal the history, whatever is repeated, lost, late, refused or concurrent",
  [Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(25))],
  ([steps]) =>
    Effect.promise(async () => {
      const { database } = world
      const names = Array.from({ length: 4 }, () => randomUUID())
      const versions = new Map<string, number>()
      const state = new Map<string, string>()
      const late: Array<string> = []
      for (const { cents, isLate, isLost, opportunity, repeats, stage } of steps) {
        const name = names[opportunity] ?? ""
        const version = (versions.get(name) ?? 0) + 1
        versions.set(name, version)
        const newStage = stages[stage] ?? ""
        const event = JSON.stringify({
          event_id: randomUUID(),
          opportunity_id: name,
          version,
          old_stage: state.get(name) ?? null,
          new_stage: newStage,
          amount: `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`,
          occurred_at: "2026-11-22T09:30:00.123456Z"
        })
        state.set(name, newStage)
        if (isLost) await database.transaction("rollback", `select public.move_opportunity('${event}')`)
        if (isLate) late.push(event)
        else await Promise.all(Array.from({ length: 1 + repeats }, () => database.rows(CALL, [event])))
      }
      await Promise.all(late.map((event) => database.rows(CALL, [event])))

      const counted = await expectRightMetrics(database)
      const total = Object.values(counted).reduce((sum, [opportunities]) => sum + opportunities, 0)
      const [row] = await database.rows<{ known: number }>(
        "select count(distinct opportunity_id)::int as known from public.stage_transitions"
      )
      assert.strictEqual(total, row?.known)
    }),
  { arbitrary: { runs: 60 } }
)
