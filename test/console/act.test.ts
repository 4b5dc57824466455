import { assert, describe, it } from "@effect/vitest"
import { actionsFor, changeFor, outcomeInWords } from "../../console/model/act.ts"
import { curl } from "../../console/model/curl.ts"
import { aDeadLetter, anEvent } from "../support/fakeProject.ts"

const plain = { force: false, notes: "" }

describe("what a person can do", () => {
  it("depends on the event's state", () => {
    assert.deepStrictEqual(actionsFor(aDeadLetter("away")), ["redrive", "resolve"])
    assert.deepStrictEqual(actionsFor(anEvent({ reachedNobody: true, receipt: { notified: 0 } })), [
      "redrive",
      "resolve"
    ])
    assert.deepStrictEqual(actionsFor(anEvent({ status: "pending" })), ["cancel"])
    assert.deepStrictEqual(actionsFor(anEvent({ status: "processing" })), [])
    assert.deepStrictEqual(actionsFor(anEvent()), [])
  })

  it("is the body of one request, with only what was asked for", () => {
    assert.deepStrictEqual(changeFor("redrive", plain, false), { status: "pending" })
    assert.deepStrictEqual(changeFor("redrive", { force: true, notes: "why" }, true), {
      status: "pending",
      force: true,
      dryRun: true
    })
    assert.deepStrictEqual(changeFor("resolve", { force: true, notes: "called her" }, false), {
      status: "resolved",
      notes: "called her"
    })
    assert.deepStrictEqual(changeFor("cancel", plain, true), { status: "resolved", dryRun: true })
  })

  it("has an outcome as text, and a problem shows its detail", () => {
    assert.strictEqual(outcomeInWords({ outcome: "superseded", detail: "x" }), "A newer event of the key was handled")
    assert.strictEqual(outcomeInWords({ outcome: "store_unavailable", detail: "No answer" }), "No answer")
  })
})

describe("a command to copy", () => {
  it("takes the key from the shell, and quotes what a person wrote", () => {
    assert.strictEqual(
      curl("https://a.example/f", "pause-status", "1", { notes: "it's done" }),
      `curl -X PUT -H "apikey: $SUPABASE_SECRET_KEY" -H "content-type: application/json" ` +
        String.raw`-d '{"notes":"it'\''s done"}' 'https://a.example/f/api/v1/webhooks/pause-status/1'`
    )
    assert.strictEqual(
      curl("https://a.example/f", "pause-status?status=failed"),
      `curl -H "apikey: $SUPABASE_SECRET_KEY" 'https://a.example/f/api/v1/webhooks/pause-status?status=failed'`
    )
  })
})
