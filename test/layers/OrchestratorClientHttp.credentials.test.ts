import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import { config, fetchOf, notifyOne } from "../support/layers.ts"
import { pauseEvent } from "../support/payloads.ts"

type Settings = Readonly<Record<string, string>>

const project = {
  SUPABASE_URL: "https://abcdefgh.supabase.co",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}'
}
const elsewhere = { ORCHESTRATOR_URL: "https://hooks.example.test/pause" }

/** The credentials that one call carries. */
const sent = Effect.fnUntraced(function* (settings: Settings) {
  const { calls, layer } = fetchOf({ status: 200, body: "{}" })
  yield* notifyOne(pauseEvent).pipe(
    Effect.provide(OrchestratorClientHttp.layer),
    Effect.provide([layer, config({ ...project, ...settings })])
  )
  return { apikey: calls[0]?.headers.get("apikey"), authorization: calls[0]?.headers.get("authorization") }
})

describe("the credentials of OrchestratorClientHttp", () => {
  it.effect("a new-style project key goes in apikey only", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* sent({}), { apikey: "sb_secret_1", authorization: null })
    })
  )

  it.effect("a legacy project key goes in both headers", () =>
    Effect.gen(function* () {
      const legacy = { SUPABASE_SECRET_KEYS: "", SUPABASE_SERVICE_ROLE_KEY: "eyJ.legacy" }
      assert.deepStrictEqual(yield* sent(legacy), { apikey: "eyJ.legacy", authorization: "Bearer eyJ.legacy" })
    })
  )

  it.effect.each([
    "https://hooks.example.test/pause",
    "http://abcdefgh.supabase.co/functions/v1/pause-notification-orchestrator",
    "https://abcdefgh.supabase.co:8443/functions/v1/pause-notification-orchestrator",
    "https://abcdefgh.supabase.co.example.test/",
    "https://abcdefgh.supabase.co@example.test/"
  ])("no other origin gets the project's key: %s", (url) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* sent({ ORCHESTRATOR_URL: url }), { apikey: null, authorization: null })
    })
  )

  it.effect("an orchestrator elsewhere gets its own key, and nothing of the project's", () =>
    Effect.gen(function* () {
      const own = { ...elsewhere, ORCHESTRATOR_KEY: "tr_prod_1" }
      assert.deepStrictEqual(yield* sent(own), { apikey: null, authorization: "Bearer tr_prod_1" })
    })
  )

  it.effect("an orchestrator elsewhere needs no project key at all", () =>
    Effect.gen(function* () {
      const keyless = { ...elsewhere, SUPABASE_SECRET_KEYS: "" }
      assert.deepStrictEqual(yield* sent(keyless), { apikey: null, authorization: null })
    })
  )
})
