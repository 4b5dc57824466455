import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestConsole } from "effect/testing"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { hexHeaders, hexSecret, secret, signature, staticSecret } from "../support/signing.ts"
import { respond, signed, unsigned, url, webhookWorld } from "./webhookWorld.ts"

const canary = "canary-7f3a"

/** All that leaves the handler for a request: the reply's headers and body, and the log. */
const leaving = Effect.fnUntraced(function* (request: Request) {
  const response = yield* respond(request)
  // The one thing that goes back is the id, to where it came from.
  if (response.headers.get("webhook-id") === request.headers.get("webhook-id")) response.headers.delete("webhook-id")
  const body = yield* Effect.promise(() => response.text())
  const lines = yield* TestConsole.logLines
  return { text: JSON.stringify([[...response.headers], body, lines]), lines, status: response.status }
})

const row = { id: outboxPause.record.id, status: "paused", updated_at: "2026-11-22T09:30:00Z" }
const paths = [
  ["type"],
  ["table"],
  ["schema"],
  ["event_id"],
  ["version"],
  ["timestamp"],
  ["record"],
  ["old_record"],
  ["extra"],
  ["record", "status"],
  ["record", "updated_at"],
  ["record", "bio"],
  ["old_record", "status"],
  ["old_record", "email"]
] as const

/** A payload with a value at a path, all else legal. */
const payloadWith = (path: (typeof paths)[number], value: unknown) => {
  const payload = { ...outboxPause, record: row }
  const [head, column] = path
  if (column === undefined) return { ...payload, [head]: value }
  return { ...payload, [head]: { ...payload[head], [column]: value } }
}

describe("the handler repeats nothing that a sender wrote", () => {
  it.effect.prop(
    "no text of a payload appears in the log or the reply",
    {
      path: Schema.Literals(paths.map((path) => path.join("."))),
      shape: Schema.Literals(["text", "list", "key", "end", "start"])
    },
    ({ path, shape }) =>
      Effect.gen(function* () {
        const value = {
          text: canary,
          list: [canary, { deep: canary }],
          key: { [canary]: canary },
          end: `paused${canary}`,
          start: `${canary}2026-11-22T09:30:00Z`
        }[shape]
        const where = paths.find((candidate) => candidate.join(".") === path) ?? paths[0]
        const payload = payloadWith(where, value)
        const batch = bytesOf([payload, outboxPause, payload])
        const requests = [signed(bytesOf(payload)), unsigned(bytesOf(payload)), signed(batch), unsigned(batch)]
        for (const request of requests) {
          const { lines, text } = yield* leaving(request)
          assert.isNotEmpty(lines)
          assert.notInclude(text, canary)
        }
      }).pipe(Effect.provide(webhookWorld().layer)),
    { timeout: 30_000, arbitrary: { runs: 100 } }
  )

  it.effect.each([[canary], { [canary]: canary }, `${canary}\n`, canary.repeat(20)])(
    "an invalid key is not repeated: %j",
    (id) =>
      Effect.gen(function* () {
        const { lines, status, text } = yield* leaving(signed(bytesOf({ ...outboxPause, record: { ...row, id } })))
        assert.strictEqual(status, 400)
        assert.isNotEmpty(lines)
        assert.notInclude(text, canary)
      }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect.each([
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-webhook-signature",
    "x-webhook-timestamp",
    "x-webhook-secret",
    "content-type",
    "content-encoding",
    "authorization",
    "apikey",
    "user-agent"
  ])("no text of the header %s appears in the log or the reply", (name) =>
    Effect.gen(function* () {
      for (const value of [canary, `v1,${canary}`, `application/json; ${canary}`]) {
        const { lines, text } = yield* leaving(signed(bytesOf(outboxPause), { [name]: value }))
        assert.isNotEmpty(lines)
        assert.notInclude(text, canary)
      }
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("no text of the URL appears either", () =>
    Effect.gen(function* () {
      for (const where of [`${url}/${canary}`, `${url}?token=${canary}`, `http://${canary}.test/`]) {
        assert.notInclude((yield* leaving(new Request(where, signed(bytesOf(outboxPause))))).text, canary)
      }
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("a body that is not JSON is not repeated", () =>
    Effect.gen(function* () {
      for (const body of [canary, `{"type": ${canary}`, `"${canary}"`, `["${canary}`]) {
        const { status, text } = yield* leaving(signed(new TextEncoder().encode(body)))
        assert.strictEqual(status, 400)
        assert.notInclude(text, canary)
      }
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("an invalid payload in a batch is not repeated", () =>
    Effect.gen(function* () {
      for (const item of [canary, [canary], { [canary]: canary }, { event_id: canary }]) {
        const { lines, status, text } = yield* leaving(signed(bytesOf([item, item])))
        assert.strictEqual(status, 200)
        assert.isNotEmpty(lines)
        assert.notInclude(text, canary)
      }
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("neither a secret nor a signature appears, whatever the outcome", () =>
    Effect.gen(function* () {
      const body = bytesOf(outboxPause)
      const right = signature(body, { id: outboxPause.event_id, seconds: 0 })
      const hex = hexHeaders(body, 0)
      const requests = [
        signed(body),
        signed(body),
        signed(body, { "webhook-id": "another" }),
        signed(bytesOf({})),
        new Request(url, { method: "POST", body, headers: { "content-type": "application/json", ...hex } }),
        unsigned(body),
        new Request(url, { headers: { "x-webhook-secret": staticSecret } })
      ]
      const texts = yield* Effect.forEach(requests, leaving)
      const secrets = [
        secret,
        secret.slice(6),
        staticSecret,
        hexSecret,
        right,
        right.slice(3),
        ...Object.values(hex).filter((value) => value !== "0")
      ]
      for (const { text } of texts) {
        for (const value of secrets) assert.notInclude(text, value)
      }
    }).pipe(Effect.provide(webhookWorld("fail", "refuse").layer))
  )
})
