import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { PayloadBatch } from "../../src/schema/Envelope.ts"
import { InsertPayload, UpdatePayload, WebhookPayload } from "../../src/schema/WebhookPayload.ts"
import { dashboardUpdate, mentorId, outboxPause } from "../support/payloads.ts"

const decode = Schema.decodeUnknownSync(WebhookPayload)

describe("WebhookPayload", () => {
  it("keeps what the outbox sends", () => {
    assert.deepStrictEqual<unknown>(decode(outboxPause), { ...outboxPause, old_record: { status: "active" } })
  })

  it("keeps that an event was forced, and how often it was redriven", () => {
    assert.strictEqual(decode({ ...outboxPause, force: true }).force, true)
    assert.strictEqual(decode({ ...outboxPause, redrive: 2 }).redrive, 2)
    assert.throws(() => decode({ ...outboxPause, force: "true" }))
  })

  it("a batch is 1 to 200 of anything", () => {
    const isBatch = Schema.is(PayloadBatch)
    const batches = [0, 1, 200, 201].map((length) => Array.from({ length }, () => null))
    assert.deepStrictEqual(batches.map(isBatch), [false, true, true, false])
    assert.isFalse(isBatch(outboxPause))
  })

  it("drops every column that it does not use", () => {
    const { record, ...rest } = dashboardUpdate("active", "paused")
    const decoded = decode({ ...rest, record: { ...record, bio: "private", email: "a@b.c" }, user_id: null })
    assert.notInclude(JSON.stringify(decoded), "private")
    assert.notInclude(JSON.stringify(decoded), "user_id")
  })

  it("accepts an INSERT only if old_record is null or missing", () => {
    const insert = {
      type: "INSERT",
      table: "peer_mentor_profiles",
      schema: "public",
      record: { id: mentorId, status: "active" }
    }
    const isInsert = Schema.is(InsertPayload)
    assert.isTrue(isInsert(insert))
    assert.isTrue(isInsert({ ...insert, old_record: null }))
    assert.isFalse(isInsert({ ...insert, old_record: { status: "active" } }))
  })

  it("accepts no UPDATE without an old status", () => {
    const isUpdate = Schema.is(UpdatePayload)
    assert.isTrue(isUpdate(outboxPause))
    for (const wrong of [null, undefined, {}, { status: null }, { status: 1 }, "active", []]) {
      assert.isFalse(isUpdate({ ...outboxPause, old_record: wrong }), JSON.stringify(wrong))
    }
  })

  it("accepts no empty value for what the outbox adds", () => {
    for (const key of ["event_id", "version", "timestamp", "force"]) {
      assert.throws(() => decode({ ...outboxPause, [key]: null }), undefined, undefined, key)
    }
  })
})
