import { assert, describe, it } from "@effect/vitest"
import { stagesOf } from "../../console/model/stages.ts"
import { aDeadLetter, anEvent } from "../support/fakeProject.ts"

const states = (...[event, history]: Parameters<typeof stagesOf>) => stagesOf(event, history).map(({ state }) => state)

describe("the steps of an event", () => {
  it("have the milliseconds of its attempt, and how many people were notified", () => {
    const event = anEvent()
    assert.deepStrictEqual(stagesOf(event, event), [
      { name: "Committed", state: "done", after: 0 },
      { name: "Dispatched", state: "done", after: 2 },
      { name: "Claimed", state: "done", after: 9 },
      { name: "Notified", state: "done", people: 2 },
      { name: "Settled", state: "done", after: 31 }
    ])
  })

  it("are known from the list, except the times in between", () => {
    assert.deepStrictEqual(
      stagesOf(anEvent()).map(({ after }) => after),
      [0, undefined, undefined, undefined, 31]
    )
  })

  it("have no time of the claim if the outbox keeps none", () => {
    const event = anEvent()
    const attempts = event.attempts.map((attempt) => ({ ...attempt, durationMs: null }))
    assert.isUndefined(stagesOf(event, { ...event, attempts })[2]?.after)
  })

  it("show where an event in progress is", () => {
    const waiting = { status: "pending", receipt: null } as const
    const inTheOutbox = anEvent({ ...waiting, attemptCount: 0 })
    assert.deepStrictEqual(states(inTheOutbox), ["done", "now", "waiting", "waiting", "waiting"])
    assert.deepStrictEqual(states(anEvent(waiting)), ["done", "done", "now", "waiting", "waiting"])
    const processing = anEvent({ ...waiting, status: "processing" })
    assert.deepStrictEqual(states(processing), ["done", "done", "done", "now", "waiting"])
  })

  it("fail where it failed, with the times of its first dispatch and its last end", () => {
    const letter = aDeadLetter("away", { attempts: 3 })
    assert.deepStrictEqual(states(letter, letter), ["done", "done", "done", "failed", "failed"])
    const after = stagesOf(letter, letter).map((stage) => stage.after)
    assert.deepStrictEqual(after, [0, 3, 7, undefined, 40_045])
  })

  it("fail at the notification if nobody was notified", () => {
    assert.strictEqual(states(anEvent({ reachedNobody: true, receipt: { notified: 0 } }))[3], "failed")
  })
})
