import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { verdict } from "../../../test/support/deliveries.ts"
import { redrive } from "../../../test/support/pipeline.ts"
import { gate, hangUp, loseReply, replyWith } from "../../../test/support/proxy.ts"
import { startExample, type World } from "../../support/world.ts"
import { expectRightMetrics } from "./metrics.ts"

const effectPath = "/rpc/move_opportunity"

let world: World

beforeAll(async () => {
  world = await startExample("opportunity-stage")
})
afterAll(() => world?.[Symbol.asyncDispose]())

const newOpportunity = async (stage = "prospecting", amount = "100"): Promise<string> => {
  const [row] = await world.database.rows<{ id: string }>(
    "insert into public.opportunities (name, stage, amount) values ('a deal', $1, $2) returning id",
    [stage, amount]
  )
  return row?.id ?? assert.fail("no opportunity was inserted")
}

const move = async (id: string, ...stages: ReadonlyArray<string>) => {
  for (const stage of stages) {
    await world.database.rows("update public.opportunities set stage = $2 where id = $1", [id, stage])
  }
}

interface Transition {
  readonly event_id: string
  readonly change: string
  readonly is_progression: boolean | null
}

const historyOf = (id: string): Promise<ReadonlyArray<Transition>> =>
  world.database.rows<Transition>(
    `select event_id, concat_ws(' → ', old_stage, new_stage) as change, is_progression
     from public.stage_transitions where opportunity_id = $1 order by version`,
    [id]
  )

/** Waits until everything is settled, then checks that each event of the opportunity was completed and counted once. */
const expectHistory = async (id: string, ...changes: Array<[string, boolean | null]>) => {
  const events = await world.settled(id)
  const history = await historyOf(id)
  assert.deepStrictEqual(
    history.map(({ change, is_progression }) => [change, is_progression]),
    changes
  )
  assert.deepStrictEqual(
    events.map(({ event_id, status }) => `${status} ${event_id}`),
    history.map(({ event_id }) => `completed ${event_id}`)
  )
  await world.settled()
  await expectRightMetrics(world.database)
  return events
}

describe("an opportunity", () => {
  it("has a history that says which changes were progress", async () => {
    const id = await newOpportunity()
    await move(id, "proposal", "qualification", "closed_won", "negotiation", "closed_lost")
    const events = await expectHistory(
      id,
      ["prospecting", null],
      ["prospecting → proposal", true],
      ["proposal → qualification", false],
      ["qualification → closed_won", true],
      ["closed_won → negotiation", false],
      ["negotiation → closed_lost", false]
    )
    assert.deepStrictEqual(events[1]?.receipt, { from: "prospecting", to: "proposal", isProgression: true })
  })

  it("is counted in its current stage with its current amount, to the last digit", async () => {
    const amount = "90071992547409930.01"
    const before = await expectRightMetrics(world.database)
    const id = await newOpportunity("proposal", "1")
    await world.database.rows("update public.opportunities set amount = $2 where id = $1", [id, amount])
    await expectHistory(id, ["proposal", null], ["proposal → proposal", null])
    const during = await expectRightMetrics(world.database)
    const [count = 0, value = ""] = during["proposal"] ?? []
    assert.strictEqual(count, (before["proposal"]?.[0] ?? 0) + 1)
    assert.include(value, "90071992547409")
    await move(id, "closed_lost")
    await world.settled(id)
    const after = await expectRightMetrics(world.database)
    assert.deepStrictEqual(after["proposal"], before["proposal"])
  })
})

describe("every event counts once", () => {
  it("when it is delivered again, even at the same time", async () => {
    const id = await newOpportunity()
    const [event] = await world.settled(id)
    const replies = await Promise.all(Array.from({ length: 10 }, () => world.deliver(event?.event_id ?? "")))
    assert.deepStrictEqual(new Set(await Promise.all(replies.map(verdict))), new Set(["409 already_processed"]))
    await expectHistory(id, ["prospecting", null])
  })

  it.each([
    ["before it is counted", hangUp],
    ["after it is counted", loseReply]
  ])("when the function is killed %s", async (_, step) => {
    const id = await newOpportunity()
    await world.settled(id)
    const held = gate(step)
    world.proxy.next(effectPath, id, held.step)
    await move(id, "closed_won")
    await held.reached
    await world.service().kill("SIGKILL")
    held.open()
    const events = await expectHistory(id, ["prospecting", null], ["prospecting → closed_won", true])
    assert.isAtLeast(events[1]?.claims ?? 0, 2)
  })

  it("when it became a dead letter although it was counted, and is redriven, even after a later one", async () => {
    const id = await newOpportunity()
    await world.settled(id)
    world.proxy.next(effectPath, id, replyWith({ outcome: "unknown_stage", stages: "none" }))
    await move(id, "proposal")
    const dead = (await world.settled(id))[1]
    assert.strictEqual(dead?.status, "failed")
    await move(id, "closed_won")
    await world.settled(id)
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? ""), "superseded")
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? "", true), "redriven")
    await expectHistory(id, ["prospecting", null], ["prospecting → proposal", true], ["proposal → closed_won", true])
  })

  it("when many opportunities change in many transactions, under kills", async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, (_, at) => newOpportunity("prospecting", `${at}.5`)))
    const stages = ["qualification", "closed_won", "proposal", "closed_lost", "negotiation"]
    await Promise.all([
      ...ids.map((id, at) => move(id, ...stages.slice(at % 5), ...stages.slice(0, at % 5))),
      world.service().kill("SIGKILL")
    ])
    await Promise.all(ids.map((id) => world.settled(id)))
    const histories = await Promise.all(ids.map(historyOf))
    assert.deepStrictEqual(new Set(histories.map(({ length }) => length)), new Set([6]))
    await expectRightMetrics(world.database)
  })
})

describe("an invalid row", () => {
  it("becomes a dead letter that names the stages, stops no other row, and counts once its stage is added", async () => {
    const [bad, good] = await Promise.all([newOpportunity(), newOpportunity()])
    await Promise.all([world.settled(bad), world.settled(good)])
    await world.database.rows(
      "update public.opportunities set stage = case id when $1::uuid then 'legal' else 'proposal' end where id in ($1, $2)",
      [bad, good]
    )
    await expectHistory(good, ["prospecting", null], ["prospecting → proposal", true])
    const dead = (await world.settled(bad))[1]
    assert.strictEqual(dead?.status, "failed")
    assert.include(
      dead?.last_error ?? "",
      "legal is not a stage; the stages are prospecting, qualification, proposal, negotiation, closed_won, closed_lost"
    )
    await expectRightMetrics(world.database)
    await world.database.rows("insert into public.pipeline_stages (stage, position) values ('legal', 10)")
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? ""), "redriven")
    await expectHistory(bad, ["prospecting", null], ["prospecting → legal", true])
  })

  it.each(["-0.01", "NaN", "Infinity"])("says that an amount of %s is invalid", async (amount) => {
    const [dead] = await world.settled(await newOpportunity("proposal", amount))
    assert.include(dead?.last_error ?? "", `The amount must be zero or more, but it is ${amount}`)
    await expectRightMetrics(world.database)
  })
})
