import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { groupsOf, pattern } from "../../console/model/reasons.ts"
import { aDeadLetter, anEvent } from "../support/fakeProject.ts"

const group = (...events: ReadonlyArray<ReturnType<typeof anEvent>>) =>
  groupsOf(events, ({ eventId }) => events.find((event) => event.eventId === eventId)).map(
    ({ events, httpStatus, reason }) => [reason, httpStatus, events.length]
  )

describe("dead letters", () => {
  it("are one group if their errors differ only in ids, times and long numbers", () => {
    const error = () =>
      `503 for ${randomUUID()} at 2026-11-22T09:30:00.123Z, request ${Math.round(Math.random() * 1e9) + 1e6}`
    assert.deepStrictEqual(group(aDeadLetter(error()), aDeadLetter(error()), aDeadLetter(error())), [
      ["exhausted", 503, 3]
    ])
    assert.strictEqual(pattern(error()), "503 for … at …, request …")
  })

  it("are several groups if reason, status or words differ, the largest first", () => {
    const other = aDeadLetter("away", { reason: "refused", status: 422 })
    assert.deepStrictEqual(group(other, aDeadLetter("away"), aDeadLetter("away"), aDeadLetter("gone")), [
      ["exhausted", 503, 2],
      ["refused", 422, 1],
      ["exhausted", 503, 1]
    ])
  })

  it("come with the events that reached nobody, which have no error", () => {
    const nobody = anEvent({ reachedNobody: true, receipt: { notified: 0 } })
    assert.deepStrictEqual(group(nobody), [["nobody", null, 1]])
  })
})
