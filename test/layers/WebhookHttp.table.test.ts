import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Behaviour } from "../../src/layers/OrchestratorClientMemory.ts"
import { eventsPath } from "../../src/schema/Paths.ts"
import { type Contract, observe, openContract } from "../support/contract.ts"
import { bytesOf, eventId, outboxPause } from "../support/payloads.ts"
import { type Headers, otherSecret, standardHeaders, staticSecret } from "../support/signing.ts"
import { newSigningKey, userToken } from "../support/tokens.ts"
import { respond, url, webhookWorld } from "./webhookWorld.ts"

let contract: Contract
beforeAll(async () => {
  contract = await openContract()
})

const body = bytesOf(outboxPause)
const adminToken = userToken(newSigningKey("now"), { app_metadata: { role: "admin" } })

/** Each credential, and how it is turned away; nothing, when it vouches for a delivery. */
const credentials: Readonly<Record<string, readonly [headers: Headers, refusal?: string]>> = {
  "nothing at all": [{}, "401 unauthorized"],
  "the project's secret key": [{ apikey: "sb_secret_1", authorization: "Bearer sb_secret_1" }, "401 unauthorized"],
  "an admin's token": [{ authorization: `Bearer ${adminToken}` }, "401 unauthorized"],
  "another's signature": [standardHeaders(body, { id: eventId, seconds: 0, secret: otherSecret }), "401 unauthorized"],
  "a signature of another time": [standardHeaders(body, { id: eventId, seconds: 301 }), "401 stale_signature"],
  "a wrong static secret": [{ "x-webhook-secret": `${staticSecret}.` }, "401 unauthorized"],
  "the static secret": [{ "x-webhook-secret": staticSecret }],
  "the outbox's signature": [standardHeaders(body, { id: eventId, seconds: 0 })]
}

/** Each state of the event: what the orchestrator did to it before, and what a delivery is answered then. */
const states: Readonly<Record<string, readonly [before: ReadonlyArray<Behaviour>, reply: string]>> = {
  unknown: [[], "200 notified"],
  pending: [["fail"], "200 notified"],
  processing: [["fail"], "409 in_flight"],
  completed: [["accept"], "409 already_processed"],
  failed: [["refuse"], "409 dead_letter"]
}

const deliver = (headers: Headers) =>
  respond(new Request(url, { method: "POST", body, headers: { "content-type": "application/json", ...headers } }))

const rows = Object.entries(credentials).flatMap(([who, [headers, refusal]]) =>
  Object.entries(states).map(([state, [before, reply]]) => ({
    who,
    headers,
    state,
    before,
    reply: refusal ?? reply
  }))
)

describe("a delivery, with every kind of signature, in every state of its event", () => {
  it.effect.each(rows)("with $who, of an event that is $state: $reply", ({ before, headers, reply, state }) => {
    const { layer, orchestrator, store } = webhookWorld(...before)
    return Effect.gen(function* () {
      if (before.length > 0) yield* deliver(standardHeaders(body, { id: eventId, seconds: 0 }))
      const entry = store.state.get(eventId)
      if (state === "processing" && entry !== undefined) {
        store.state.set(eventId, { ...entry, state: { _tag: "Processing", leaseEndsAt: 30_000 } })
      }
      const known = structuredClone(store.state)
      const calls = orchestrator.state.calls.length
      const seen = yield* Effect.flatMap(deliver(headers), (response) =>
        Effect.promise(() => observe("POST", eventsPath, response))
      )
      const value = JSON.parse(seen.body)
      assert.strictEqual(`${seen.status} ${value.code ?? value.status}`, reply)
      assert.deepStrictEqual(contract.violations(seen), [])
      assert.strictEqual(orchestrator.state.calls.length - calls, seen.status === 200 ? 1 : 0)
      if (seen.status !== 200) assert.deepStrictEqual(store.state, known, "a refusal changes nothing")
    }).pipe(Effect.provide(layer))
  })
})
