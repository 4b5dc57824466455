import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import type { Misconfigured } from "../../src/layers/Config.ts"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import * as WebhookRouter from "../../src/layers/WebhookRouter.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import { pauseStatus } from "../../src/topics/PauseStatus.ts"
import { config } from "../support/layers.ts"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { capturedConsole, settings, unsigned } from "./webhookWorld.ts"

const pause = () => unsigned(bytesOf(outboxPause))

const app = Effect.fnUntraced(function* (
  client: Layer.Layer<OrchestratorClient>,
  verifier: Layer.Layer<SignatureVerifier, Misconfigured> = SignatureVerifierWebCrypto.layer
) {
  yield* capturedConsole()
  const store = DedupeStoreMemory.make()
  const services = Layer.mergeAll(verifier, HttpLimits.layer, store.layer, client).pipe(Layer.provide(config(settings)))
  const { dispose, handler } = HttpRouter.toWebHandler(Layer.provide(WebhookRouter.layer(pauseStatus), services), {
    disableLogger: true
  })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  return { handler, store }
})

describe("WebhookRouter", () => {
  it.live("serves the same program as a route of a larger app", () =>
    Effect.gen(function* () {
      const orchestrator = OrchestratorClientMemory.make()
      const { handler } = yield* app(orchestrator.layer)
      const request = pause()
      request.headers.set("webhook-id", "msg_1")
      const first = yield* Effect.promise(() => handler(request))
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers.get("webhook-id"), "msg_1")
      assert.strictEqual((yield* Effect.promise(() => handler(pause()))).status, 409)
      assert.lengthOf(orchestrator.state.calls, 1)
    })
  )

  it.live.each(["before the claim", "after the claim"])("finishes its work if the caller hangs up %s", (when) =>
    Effect.gen(function* () {
      const caller = new AbortController()
      const hangUp = (here: string) =>
        Effect.promise(async () => {
          await Promise.resolve()
          if (here === when) caller.abort()
        })
      const orchestrator = OrchestratorClientMemory.make()
      const client = Layer.effect(
        OrchestratorClient,
        Effect.map(OrchestratorClient, (inner) => ({
          ...inner,
          notify: (events) => Effect.andThen(hangUp("after the claim"), inner.notify(events))
        }))
      ).pipe(Layer.provide(orchestrator.layer))
      const verifier = Layer.succeed(SignatureVerifier, {
        verify: () => Effect.as(hangUp("before the claim"), { scheme: "static" as const })
      })
      const { handler, store } = yield* app(client, verifier)
      const request = new Request(pause(), { signal: caller.signal })
      const reply = yield* Effect.promise(() => handler(request))
      assert.isTrue(caller.signal.aborted)
      assert.strictEqual(reply.status, 200)
      assert.lengthOf(orchestrator.state.calls, 1)
      assert.deepStrictEqual(
        [...store.state.values()].map(({ state }) => state._tag),
        ["Completed"]
      )
    })
  )
})
