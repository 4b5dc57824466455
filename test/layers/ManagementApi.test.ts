import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as ManagementApi from "../../src/layers/ManagementApi.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import * as WebhookRouter from "../../src/layers/WebhookRouter.ts"
import { Access } from "../../src/services/Access.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { Surroundings } from "../../src/services/Surroundings.ts"
import { seedMemory, seedOf } from "../support/events.ts"
import { config } from "../support/layers.ts"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { capturedConsole, settings, unsigned, url } from "./webhookWorld.ts"

const app = Effect.fnUntraced(function* (held: Layer.Layer<EventStore>) {
  yield* capturedConsole()
  const services = Layer.mergeAll(
    SignatureVerifierWebCrypto.layer,
    HttpLimits.layer,
    DedupeStoreMemory.layer,
    OrchestratorClientMemory.make().layer,
    Layer.succeed(Access, { identify: () => Effect.succeed({ kind: "project" as const }) }),
    Layer.succeed(Surroundings, { orchestrator: Effect.succeed({ ok: true }), secrets: { ok: true } }),
    held
  ).pipe(Layer.provide(config(settings)))
  const routes = Layer.mergeAll(ManagementApi.layer, WebhookRouter.layer).pipe(
    Layer.provide(services),
    Layer.provide(HttpServer.layerServices)
  )
  const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  return (request: Request) => Effect.promise(() => handler(request))
})

describe("ManagementApi", () => {
  it.live("is, beside WebhookRouter, the whole contract as a part of a larger app", () =>
    Effect.gen(function* () {
      const { layer, state } = EventStoreMemory.make()
      const event = seedOf({ status: "failed" })
      yield* seedMemory(state)(event)
      const ask = yield* app(layer)
      assert.strictEqual((yield* ask(unsigned(bytesOf(outboxPause)))).status, 200)
      const page = yield* ask(new Request(url))
      assert.strictEqual((yield* Effect.promise(() => page.json())).events[0].eventId, event.eventId)
      assert.strictEqual((yield* ask(new Request(`${url}?page=2`))).status, 400)
      assert.strictEqual((yield* ask(new Request(`${url}/42`))).status, 400)
      assert.strictEqual((yield* ask(new Request("http://localhost/health"))).status, 200)
    })
  )

  it.live.each(["PUT", "DELETE"])("finishes a %s for a caller that hangs up in the middle of it", (method) =>
    Effect.gen(function* () {
      const { layer, state } = EventStoreMemory.make()
      const event = seedOf({ status: "failed", resolved: true })
      yield* seedMemory(state)(event)
      const caller = new AbortController()
      const hangUp = Effect.promise(async () => {
        await Promise.resolve()
        caller.abort()
        await Promise.resolve()
      })
      const held = Layer.effect(
        EventStore,
        Effect.map(EventStore, (inner) =>
          EventStore.of({
            ...inner,
            redrive: (...args) => Effect.andThen(hangUp, inner.redrive(...args)),
            erase: (eventId) => Effect.andThen(hangUp, inner.erase(eventId))
          })
        )
      ).pipe(Layer.provide(layer))
      const ask = yield* app(held)
      yield* ask(
        new Request(`${url}/${event.eventId}`, {
          method,
          signal: caller.signal,
          headers: { "content-type": "application/json" },
          ...(method === "PUT" && { body: '{"status":"pending"}' })
        })
      )
      assert.isTrue(caller.signal.aborted)
      assert.strictEqual(state.events.get(event.eventId)?.status, method === "PUT" ? "pending" : undefined)
    })
  )
})
