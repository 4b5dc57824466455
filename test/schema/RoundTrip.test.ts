import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { Receipt } from "../../src/schema/Receipt.ts"
import { BatchReply, Issue, NoChangeReply, NotifiedReply, Problem } from "../../src/schema/Replies.ts"
import { OrchestratorBatchReply } from "../../src/schema/OrchestratorReplies.ts"
import { WebhookPayload } from "../../src/schema/WebhookPayload.ts"

const roundTrip = <S extends Schema.Codec<unknown, unknown>>(schema: S, value: S["Type"]): unknown => {
  const json = Schema.fromJsonString(schema)
  return Schema.decodeUnknownSync(json)(Schema.encodeUnknownSync(json)(value))
}

// JSON has no word for -0, nor for some of what the generator of Unknown makes.
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe("what crosses a boundary comes back unchanged", () => {
  it.prop("a PauseEvent", [PauseEvent], ([event]) => {
    assert.deepStrictEqual(roundTrip(PauseEvent, event), asJson(event))
  })

  it.prop("a WebhookPayload", [WebhookPayload], ([payload]) => {
    assert.deepStrictEqual(roundTrip(WebhookPayload, payload), asJson(payload))
  })

  it.prop("a receipt", [Receipt], ([receipt]) => {
    assert.deepStrictEqual(roundTrip(Receipt, receipt), asJson(receipt))
  })

  it.prop("an Issue", [Issue], ([issue]) => {
    assert.deepStrictEqual(roundTrip(Issue, issue), asJson(issue))
  })

  it.prop("a Problem", [Problem], ([problem]) => {
    assert.deepStrictEqual(roundTrip(Problem, problem), asJson(problem))
  })

  it.prop("a reply to a batch", [BatchReply], ([reply]) => {
    assert.deepStrictEqual(roundTrip(BatchReply, reply), asJson(reply))
  })

  it.prop("an orchestrator's reply to a batch", [OrchestratorBatchReply], ([reply]) => {
    assert.deepStrictEqual(roundTrip(OrchestratorBatchReply, reply), asJson(reply))
  })

  it.prop("a reply", [NotifiedReply, NoChangeReply], ([notified, noChange]) => {
    const Reply = Schema.Union([NotifiedReply, NoChangeReply])
    assert.deepStrictEqual(roundTrip(Reply, notified), asJson(notified))
    assert.deepStrictEqual(roundTrip(Reply, noChange), asJson(noChange))
  })
})
