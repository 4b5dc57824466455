import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as ManagementApi from "../../src/layers/ManagementApi.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import * as WebhookRouter from "../../src/layers/WebhookRouter.ts"
import { ManagementApi as ManagementApiContract } from "../../src/schema/Api.ts"
import { Access } from "../../src/services/Access.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { ManagedTopics, plain } from "../../src/services/ManagedTopics.ts"
import { Surroundings } from "../../src/services/Surroundings.ts"
import { pauseStatusEvents } from "../../src/topics/PauseStatusEvents.ts"
import { seedMemory, seedOf } from "../support/events.ts"
import { verdict } from "../support/deliveries.ts"
import { pauseStatus } from "../../src/topics/PauseStatus.ts"
import { config } from "../support/layers.ts"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { managementWorld } from "./managementWorld.ts"
import { capturedConsole, settings, unsigned, url } from "./webhookWorld.ts"

const app = Effect.fnUntraced(function* (held: Layer.Layer<EventStore>) {
  yield* capturedConsole()
  const services = Layer.mergeAll(
    SignatureVerifierWebCrypto.layer,
    HttpLimits.layer,
    DedupeStoreMemory.layer,
    OrchestratorClientMemory.make().layer,
    Layer.succeed(Access, { identify: () => Effect.succeed({ kind: "project" as const }) }),
    Layer.succeed(ManagedTopics, [pauseStatusEvents, plain("order-created")]),
    Layer.succeed(Surroundings, { orchestrator: Effect.succeed({ ok: true }), secrets: { ok: true } }),
    held
  ).pipe(Layer.provide(config(settings)))
  const routes = Layer.mergeAll(ManagementApi.layer, WebhookRouter.layer(pauseStatus)).pipe(
    Layer.provide(services),
    Layer.provide(HttpServer.layerServices)
  )
  const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
  yield* Effect.addFinalizer(() => Effect.promise(dispose))
  return (request: Request) => Effect.promise(() => handler(request))
})

describe("ManagementApi", () => {
  it.live("is, next to WebhookRouter, the whole contract as a part of a larger app", () =>
    Effect.gen(function* () {
      const { layer, state } = EventStoreMemory.make("pause-status", "order-created")
      const event = seedOf({ status: "failed" })
      yield* seedMemory(state)(event)
      const ask = yield* app(layer)
      assert.strictEqual((yield* ask(unsigned(bytesOf(outboxPause)))).status, 200)
      const page = yield* ask(new Request(url))
      assert.strictEqual((yield* Effect.promise(() => page.json())).events[0].eventId, event.eventId)
      assert.strictEqual((yield* ask(new Request(`${url}?page=2`))).status, 400)
      assert.strictEqual((yield* ask(new Request(`${url}/42`))).status, 400)
      assert.strictEqual((yield* ask(new Request("http://localhost/health"))).status, 200)
      const others = yield* ask(new Request("http://localhost/api/v1/webhooks/order-created"))
      assert.deepStrictEqual(yield* Effect.promise(() => others.json()), { events: [], nextCursor: null })
      const unknown = yield* ask(new Request("http://localhost/api/v1/webhooks/nothing"))
      assert.strictEqual(yield* Effect.promise(() => verdict(unknown)), "404 not_found")
    })
  )

  it.live.each(["PUT", "DELETE"])("finishes a %s even if the caller hangs up", (method) =>
    Effect.gen(function* () {
      const { layer, state } = EventStoreMemory.make("pause-status", "order-created")
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
            erase: (...args) => Effect.andThen(hangUp, inner.erase(...args))
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

  it.live("has a typed client, made from the contract, with its replies and problems", () => {
    const { ask, state } = managementWorld()
    const event = seedOf({ status: "failed" })
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const { pathname, search } = new URL(String(input))
      const body = init?.body === undefined || init.body === null ? undefined : await new Response(init.body).text()
      return ask(init?.method ?? "GET", pathname + search, Object.fromEntries(new Headers(init?.headers)), body)
    }
    return Effect.gen(function* () {
      yield* seedMemory(state)(event)
      const client = yield* HttpApiClient.make(ManagementApiContract, {
        baseUrl: "http://localhost",
        transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("apikey", "sb_secret_1"))
      })
      const { eventId } = event
      const topic = "pause-status"
      const page = yield* client.listEvents({ params: { topic }, query: { status: "failed", limit: 1 } })
      assert.deepStrictEqual(
        page.events.map((listed) => listed.eventId),
        [eventId]
      )
      const changed = yield* client.changeEvent({
        params: { topic, eventId },
        payload: { status: "resolved", notes: "told" }
      })
      assert.strictEqual(changed.outcome, "resolved")
      yield* client.eraseEvent({ params: { topic, eventId } })
      const unknown = yield* Effect.flip(client.getEvent({ params: { topic, eventId } }))
      assert.deepInclude(unknown, { status: 404, code: "not_found", eventId })
    }).pipe(Effect.provide([FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch)]))
  })
})
