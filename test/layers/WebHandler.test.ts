import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import * as WebHandler from "../../src/layers/WebHandler.ts"
import { DedupeStore } from "../../src/services/DedupeStore.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { config } from "../support/layers.ts"
import { bytesOf, eventId, outboxPause } from "../support/payloads.ts"
import { staticSecret } from "../support/signing.ts"
import { respond, capturedConsole, settings as complete, unsigned } from "./webhookWorld.ts"

const pause = () => unsigned(bytesOf(outboxPause))

/** A handler over settings that may change, and how often it was built and taken down. */
const handlerOf = (settings: { current: Readonly<Record<string, string>> | "broken" }) => {
  const counts = { built: 0, released: 0 }
  const orchestrator = OrchestratorClientMemory.make()
  const resource = Layer.effectDiscard(
    Effect.acquireRelease(
      // Not done within one turn, so that requests can wait for one and the same build.
      Effect.promise(() => Promise.resolve(counts.built++)),
      () => Effect.sync(() => counts.released++)
    )
  )
  const environment = Layer.unwrap(
    Effect.sync(() => (settings.current === "broken" ? assert.fail("canary") : config(settings.current)))
  )
  const layer = Layer.mergeAll(
    SignatureVerifierWebCrypto.layer,
    DedupeStoreMemory.layer,
    orchestrator.layer,
    HttpLimits.layer
  ).pipe(Layer.provideMerge(resource), Layer.provide(environment))
  return { counts, handler: WebHandler.make(layer, respond), orchestrator }
}

describe("WebHandler", () => {
  it.live("builds its program once, at the first request", () =>
    Effect.gen(function* () {
      yield* capturedConsole()
      const { counts, handler } = handlerOf({ current: complete })
      assert.strictEqual(counts.built, 0)
      const replies = yield* Effect.promise(() => Promise.all([handler(pause()), handler(pause()), handler(pause())]))
      assert.deepStrictEqual(replies.map(({ status }) => status).toSorted(), [200, 409, 409])
      assert.deepStrictEqual(counts, { built: 1, released: 0 })
    })
  )

  it.live("is a 503 while a setting is missing, names it in the log, and recovers once it is set", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      const settings: { current: Readonly<Record<string, string>> } = { current: {} }
      const { counts, handler } = handlerOf(settings)
      for (let turn = 1; turn <= 3; turn++) {
        const reply = yield* Effect.promise(() => handler(pause()))
        assert.strictEqual(reply.status, 503)
        assert.strictEqual(reply.headers.get("retry-after"), "5")
        assert.notInclude(yield* Effect.promise(() => reply.text()), "WEBHOOK_SECRETS")
        assert.include(lines[turn - 1], "WEBHOOK_SECRETS")
      }
      settings.current = complete
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 200)
      settings.current = {}
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 409)
      assert.strictEqual(counts.built - counts.released, 1)
    })
  )

  it.live("never logs the value of a setting that is wrong", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      const { handler } = handlerOf({ current: { ...complete, MAX_BODY_BYTES: "canary" } })
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 503)
      assert.include(lines.join(), "MAX_BODY_BYTES")
      assert.notInclude(lines.join(), "canary")
    })
  )

  it.live("answers all requests that waited for a failed build, and leaves nothing behind", () =>
    Effect.gen(function* () {
      yield* capturedConsole()
      const settings: { current: Readonly<Record<string, string>> } = { current: {} }
      const { counts, handler } = handlerOf(settings)
      const together = () => Promise.all(Array.from({ length: 5 }, () => handler(pause())))
      const failed = yield* Effect.promise(together)
      assert.deepStrictEqual(
        failed.map(({ status }) => status),
        [503, 503, 503, 503, 503]
      )
      assert.strictEqual(counts.built, counts.released)
      settings.current = complete
      const healed = yield* Effect.promise(together)
      assert.deepStrictEqual(healed.map(({ status }) => status).toSorted(), [200, 409, 409, 409, 409])
      assert.strictEqual(counts.built - counts.released, 1)
    })
  )

  it.live("keeps a program that was built while others still fail from an earlier build", () =>
    Effect.gen(function* () {
      const settings: { current: Readonly<Record<string, string>> } = { current: {} }
      const { counts, handler } = handlerOf(settings)
      const early: Array<Promise<Response>> = []
      // The first failure is logged before the second is: in between the setting is there, and a delivery comes in.
      yield* capturedConsole(() => {
        if (early.length > 0) return
        settings.current = complete
        early.push(handler(pause()))
      })
      const failed = yield* Effect.promise(() => Promise.all([handler(pause()), handler(pause())]))
      assert.deepStrictEqual(
        failed.map(({ status }) => status),
        [503, 503]
      )
      const [healed] = yield* Effect.promise(() => Promise.all(early))
      assert.strictEqual(healed?.status, 200)
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 409)
      assert.strictEqual(counts.built - counts.released, 1)
    })
  )

  it.live("is a redacted 500 if its build has a defect, and recovers", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      const settings: { current: Readonly<Record<string, string>> | "broken" } = { current: "broken" }
      const { handler } = handlerOf(settings)
      const reply = yield* Effect.promise(() => handler(pause()))
      assert.strictEqual(reply.status, 500)
      assert.notInclude(yield* Effect.promise(() => reply.text()), "canary")
      assert.include(lines.join(), "canary")
      settings.current = complete
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 200)
    })
  )

  it.live.each(["before it starts", "at the claim", "at the orchestrator", "at the settlement"])(
    "a caller that hangs up %s changes nothing",
    (step) =>
      Effect.gen(function* () {
        yield* capturedConsole()
        const caller = new AbortController()
        const hangUp = (here: string) => Effect.sync(() => (here === step ? caller.abort() : undefined))
        const store = DedupeStoreMemory.make()
        const orchestrator = OrchestratorClientMemory.make()
        const abortable = Layer.mergeAll(
          Layer.effect(
            DedupeStore,
            Effect.map(DedupeStore, (inner) => ({
              claim: (events) => Effect.andThen(hangUp("at the claim"), inner.claim(events)),
              settle: (settlements, options) =>
                Effect.andThen(hangUp("at the settlement"), inner.settle(settlements, options))
            }))
          ),
          Layer.effect(
            OrchestratorClient,
            Effect.map(OrchestratorClient, (inner) => ({
              ...inner,
              notify: (events) => Effect.andThen(hangUp("at the orchestrator"), inner.notify(events))
            }))
          )
        ).pipe(Layer.provide(Layer.merge(store.layer, orchestrator.layer)))
        const rest = Layer.merge(SignatureVerifierWebCrypto.layer, HttpLimits.layer)
        const handler = WebHandler.make(Layer.merge(abortable, Layer.provide(rest, config(complete))), respond)
        if (step === "before it starts") caller.abort()
        const request = new Request(pause(), { signal: caller.signal })
        const reply = yield* Effect.promise(() => handler(request))
        assert.isTrue(caller.signal.aborted)
        assert.strictEqual(reply.status, 200)
        assert.lengthOf(orchestrator.state.calls, 1)
        assert.strictEqual([...store.state.values()][0]?.state._tag, "Completed")
      })
  )

  it.live("a body whose sender hangs up halfway is a 408, and the next delivery is served", () =>
    Effect.gen(function* () {
      yield* capturedConsole()
      const { handler, orchestrator } = handlerOf({ current: complete })
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(bytesOf(outboxPause).slice(0, 50)),
        pull: (controller) => controller.error(new Error("the connection was reset"))
      })
      const headers = { "content-type": "application/json", "x-webhook-secret": staticSecret }
      const init = { method: "POST", headers, body, duplex: "half" }
      const cut = new Request(pause().url, init)
      assert.strictEqual((yield* Effect.promise(() => handler(cut))).status, 408)
      assert.isEmpty(orchestrator.state.calls)
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 200)
      assert.strictEqual(orchestrator.state.calls[0]?.eventId, eventId)
    })
  )

  it.live("loads another module's handler once, at the first request", () =>
    Effect.gen(function* () {
      let loads = 0
      const handler = WebHandler.lazy("other.mjs", () => {
        loads++
        return Promise.resolve({ handler: () => Promise.resolve(new Response(null, { status: 204 })) })
      })
      assert.strictEqual(loads, 0)
      const replies = yield* Effect.promise(() => Promise.all([handler(pause()), handler(pause())]))
      replies.push(yield* Effect.promise(() => handler(pause())))
      assert.deepStrictEqual(
        replies.map(({ status }) => status),
        [204, 204, 204]
      )
      assert.strictEqual(loads, 1)
    })
  )

  it.live("is a 503 while another module is missing, names it in the log, and recovers once it is there", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      let deployed = false
      const handler = WebHandler.lazy("other.mjs", () =>
        deployed
          ? Promise.resolve({ handler: () => Promise.resolve(new Response(null, { status: 204 })) })
          : Promise.reject(new TypeError("canary"))
      )
      for (let turn = 1; turn <= 2; turn++) {
        const reply = yield* Effect.promise(() => handler(pause()))
        assert.strictEqual(reply.status, 503)
        assert.strictEqual(reply.headers.get("retry-after"), "5")
        assert.notInclude(yield* Effect.promise(() => reply.text()), "canary")
        assert.include(lines[turn - 1], "other.mjs")
      }
      deployed = true
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 204)
    })
  )
})
