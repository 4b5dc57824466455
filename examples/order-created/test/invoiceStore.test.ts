import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Environment } from "pause-status-webhook-handler/supabase"
import { type Gateway, startGateway } from "../../../local/gateway.ts"
import { createKeys } from "../../../local/keys.ts"
import { freePort } from "../../../local/ports.ts"
import { startStorage, type Storage } from "../../../local/storage/server.ts"
import { InvoiceStore } from "../src/invoice/InvoiceStore.ts"
import * as InvoiceStoreSupabase from "../src/invoice/InvoiceStoreSupabase.ts"

const keys = createKeys()
const pdf = new TextEncoder().encode("%PDF-1.7 of a kind")

let directory: string
let storage: Storage
let gateway: Gateway

const start = async () => {
  directory = await mkdtemp(join(tmpdir(), "pause-status-test-"))
  storage = await startStorage(directory, keys)
  const nowhere = () => undefined
  const routes = { console: () => Promise.resolve(""), rest: nowhere, storage: storage.upstream, functions: new Map() }
  gateway = await startGateway(await freePort(), routes, keys)
}
const stop = async () => {
  await gateway?.[Symbol.asyncDispose]()
  await storage?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
}

const provided = <A, E>(effect: Effect.Effect<A, E, InvoiceStore>, key = keys.serviceKey) =>
  Effect.provide(
    effect,
    Layer.provide(
      Layer.orDie(InvoiceStoreSupabase.layer),
      Layer.succeed(Environment, {
        SUPABASE_URL: `http://127.0.0.1:${gateway.port}`,
        SUPABASE_SECRET_KEYS: JSON.stringify({ default: key })
      })
    )
  )

const save = (orderId: string) => InvoiceStore.use((store) => store.save(orderId, pdf))
const link = (orderId: string, known: string | null = null) => InvoiceStore.use((store) => store.link(orderId, known))

const bytesAt = (url: string) =>
  Effect.promise(() => fetch(url).then((response) => response.arrayBuffer())).pipe(
    Effect.map((buffer) => new Uint8Array(buffer))
  )

describe("the store of invoices", () => {
  beforeAll(start)
  afterAll(stop)

  it.effect("creates its bucket with the first invoices, even if several arrive at once", () =>
    provided(
      Effect.gen(function* () {
        const ids = ["1", "2", "3", "4"]
        yield* Effect.forEach(ids, save, { concurrency: "unbounded" })
        for (const id of ids) assert.deepStrictEqual(yield* bytesAt(yield* link(id)), pdf)
      })
    )
  )

  it.effect("keeps a link that is valid for another day, and replaces any other", () =>
    provided(
      Effect.gen(function* () {
        yield* save("kept")
        const url = new URL(yield* link("kept"))
        const { exp } = JSON.parse(atob(url.searchParams.get("token")?.split(".")[1] ?? ""))
        const known = `https://known.example/kept.pdf${url.search}`
        yield* TestClock.setTime((exp - 86_400) * 1_000)
        assert.strictEqual(yield* link("kept", known), known)
        yield* TestClock.setTime((exp - 86_399) * 1_000)
        for (const other of [known, "https://known.example/kept.pdf", "no URL", "https://known.example/?token=a.b.c"]) {
          assert.include(yield* link("kept", other), `${url.origin}/storage/v1/object/sign/invoices/kept.pdf?token=`)
        }
      })
    )
  )

  it.effect("does not retry if the key is refused", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(provided(save("1"), keys.publishableKey))
      assert.deepStrictEqual(
        [error.retryable, error.release.kind, error.message],
        [false, "permanent", "The invoice cannot be stored: status 403, new row violates row-level security policy"]
      )
    })
  )

  it.effect.each([500, 503, 429, "disconnect"] as const)("retries after %s", (fault) =>
    Effect.gen(function* () {
      storage.fail(fault)
      const error = yield* Effect.flip(provided(save("1")))
      assert.deepStrictEqual([error.retryable, error.release.kind], [true, "transient"])
      assert.strictEqual(yield* provided(save("1")), undefined)
    })
  )

  it.effect("has no link to a missing invoice", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(provided(link("missing")))
      assert.include(error.message, "Object not found")
      assert.isFalse(error.retryable)
    })
  )
})
