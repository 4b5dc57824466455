import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { Effect } from "effect"
import { eventIdFromKey } from "../../src/services/EventIdentity.ts"
import { eventId, fixture, mentorId } from "../support/payloads.ts"
import { replyTo, signed, unsigned, webhookWorld } from "./webhookWorld.ts"

interface Case {
  readonly from: "outbox" | "dashboard"
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

const outbox = (status: number, body: Case["body"]): Case => ({ from: "outbox", status, body })
const dashboard = (status: number, body: Case["body"]): Case => ({ from: "dashboard", status, body })

const notified = (transition: string) => ({ status: "notified", transition, mentorId })
const noChange = (reason: string) => ({ status: "no_change", transition: "NO_CHANGE", reason, mentorId })
const malformed = { code: "malformed_json" }
const invalid = (...paths: ReadonlyArray<string>) => ({ code: "invalid_payload", paths })
const noTime = { code: "no_event_time" }

const cases: Readonly<Record<string, Case>> = {
  "outbox-pause.json": outbox(200, { ...notified("PAUSE"), eventId, receipt: { eventId, notified: 1 } }),
  "outbox-resume.json": outbox(200, { ...notified("RESUME"), eventId, receipt: { eventId, notified: 1 } }),
  "dashboard-pause.json": dashboard(200, notified("PAUSE")),
  "dashboard-resume.json": dashboard(200, notified("RESUME")),
  "dashboard-insert.json": dashboard(200, noChange("inserted")),
  "dashboard-unchanged.json": dashboard(200, noChange("unchanged")),
  "dashboard-unrecognised.json": dashboard(200, noChange("unrecognised")),
  "dashboard-without-updated-at.json": dashboard(400, noTime),
  "dashboard-updated-at-is-a-date.json": dashboard(400, noTime),
  "dashboard-delete.json": dashboard(400, invalid("type", "record")),
  "wrong-table.json": outbox(400, invalid("table")),
  "wrong-schema.json": outbox(400, invalid("schema")),
  "missing-old-record.json": dashboard(400, invalid("old_record")),
  "missing-old-status.json": outbox(400, invalid("old_record.status")),
  "null-status.json": dashboard(400, invalid("record.status")),
  "numeric-id.json": outbox(400, invalid("record.id")),
  "everything-wrong.json": outbox(
    400,
    invalid("table", "schema", "event_id", "version", "timestamp", "record.id", "record.status", "old_record.status")
  ),
  "not-an-object.json": outbox(400, invalid("")),
  "truncated.json": outbox(400, malformed),
  "invalid-utf8.json": dashboard(400, malformed),
  "empty.json": outbox(400, malformed)
}

const pathsIn = (body: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  JSON.parse(JSON.stringify(body["issues"])).map(({ path }: { readonly path: ReadonlyArray<string> }) => path.join("."))

describe("recorded payloads", () => {
  it("each has its row, and each row its recording", () => {
    const names = readdirSync(new URL("../fixtures/", import.meta.url))
    assert.deepStrictEqual(names.toSorted(), Object.keys(cases).toSorted())
  })

  for (const [name, { body: expected, from, status }] of Object.entries(cases)) {
    it.effect(`${name} is answered with ${status}`, () => {
      const { isUntouched, layer } = webhookWorld()
      return Effect.gen(function* () {
        const { body, status: actual } = yield* replyTo((from === "outbox" ? signed : unsigned)(fixture(name)))
        const { paths, ...members } = expected
        assert.strictEqual(actual, status)
        assert.deepInclude(body, members)
        if (paths !== undefined) assert.deepStrictEqual<unknown>(pathsIn(body).toSorted(), [paths].flat().toSorted())
        assert.strictEqual(isUntouched(), expected["status"] !== "notified")
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("a stock pause is identified by mentor, raw time and transition", () =>
    Effect.gen(function* () {
      const { body } = yield* replyTo(unsigned(fixture("dashboard-pause.json")))
      const key = `${mentorId} 2026-11-22T09:30:00.123456+00:00 PAUSE`
      assert.strictEqual(body["eventId"], yield* eventIdFromKey(key))
      const again = yield* replyTo(unsigned(fixture("dashboard-pause.json")))
      assert.strictEqual(again.status, 409)
      assert.deepInclude(again.body, { code: "already_processed", receipt: body["receipt"] })
    }).pipe(Effect.provide(webhookWorld().layer))
  )
})
