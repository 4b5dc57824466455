import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Layer, Logger } from "effect"
import { HttpRouter } from "effect/http"
import * as DedupeStoreSupabase from "../../src/layers/DedupeStoreSupabase.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { pauseStatus } from "../../src/topics/PauseStatus.ts"
import * as WebhookRouter from "../../src/layers/WebhookRouter.ts"
import { config } from "../support/layers.ts"
import { bytesOf } from "../support/payloads.ts"
import { pausePayload, queue, signedHeaders, verdict } from "../support/deliveries.ts"
import {
  claimPath,
  createMentor,
  type Database,
  expectTold,
  openDatabase,
  orchestratorPath,
  settlePath
} from "../support/pipeline.ts"
import { patientEnv } from "../support/patience.ts"
import { gate, type Proxy, startProxy } from "../support/proxy.ts"
import { secret } from "../support/signing.ts"
import { sharedStack } from "../support/stack.ts"

const { apiUrl, databaseUrl, serviceKey } = sharedStack()

let database: Database
let proxy: Proxy
let app: { readonly handler: (request: Request) => Promise<Response>; readonly dispose: () => Promise<void> }

beforeAll(async () => {
  database = openDatabase(databaseUrl)
  proxy = await startProxy()
  proxy.target = apiUrl
  const services = Layer.mergeAll(
    SignatureVerifierWebCrypto.layer,
    Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.layer),
    OrchestratorClientHttp.layer,
    HttpLimits.layer
  ).pipe(
    Layer.provide(
      config({
        SUPABASE_URL: proxy.url,
        SUPABASE_SECRET_KEYS: JSON.stringify({ default: serviceKey }),
        WEBHOOK_SECRETS: secret,
        ...patientEnv
      })
    )
  )
  const quiet = Logger.layer([])
  app = HttpRouter.toWebHandler(Layer.mergeAll(Layer.provide(WebhookRouter.layer(pauseStatus), services), quiet), {
    disableLogger: true
  })
})
afterAll(async () => {
  await app?.dispose()
  await proxy?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
})

const newPause = async () => {
  const mentorId = await createMentor(database)
  const eventId = randomUUID()
  return { mentorId, eventId, body: bytesOf(await queue(database, pausePayload(mentorId, eventId))) }
}

const request = (body: Uint8Array<ArrayBuffer>, id: string, signal?: AbortSignal) =>
  new Request("http://localhost/api/v1/webhooks/pause-status", {
    method: "POST",
    body,
    headers: signedHeaders(body, { secret, id }),
    ...(signal !== undefined && { signal })
  })

describe("the route of a larger app, with the real claim store", () => {
  it("notifies an event once, and answers its duplicate 409 with the receipt", async () => {
    const { body, eventId, mentorId } = await newPause()
    assert.strictEqual((await app.handler(request(body, eventId))).status, 200)
    assert.strictEqual(await verdict(await app.handler(request(body, eventId))), "409 already_processed")
    await expectTold(database, mentorId, "PAUSE")
  })

  it("takes an array of events, answers each, and notifies each once", async () => {
    const pauses = await Promise.all([newPause(), newPause()])
    const payloads = pauses.map(({ eventId, mentorId }) => pausePayload(mentorId, eventId))
    const response = await app.handler(request(bytesOf([...payloads, {}]), randomUUID()))
    const { results } = await response.json()
    assert.deepStrictEqual(
      results.map(({ status }: { readonly status: number }) => status),
      [200, 200, 400]
    )
    for (const { mentorId } of pauses) await expectTold(database, mentorId, "PAUSE")
  })

  it("refuses a forged delivery without asking the database", async () => {
    const { body, eventId } = await newPause()
    assert.strictEqual(await verdict(await app.handler(request(body, randomUUID()))), "400 invalid_payload")
    const forged = new Request(request(body, eventId), { headers: { "content-type": "application/json" } })
    assert.strictEqual(await verdict(await app.handler(forged)), "401 unauthorized")
    assert.lengthOf(proxy.seen("", eventId), 0)
  })

  for (const path of [claimPath, orchestratorPath, settlePath]) {
    it(`a caller that hangs up during ${path} does not stop it: the event is notified once`, async () => {
      const { body, eventId, mentorId } = await newPause()
      const caller = new AbortController()
      const held = gate()
      proxy.next(path, eventId, held.step)
      const reply = app.handler(request(body, eventId, caller.signal)).catch(() => undefined)
      await held.reached
      caller.abort()
      held.open()
      await reply
      await expectTold(database, mentorId, "PAUSE")
      assert.lengthOf(proxy.seen(orchestratorPath, eventId), 1)
    })
  }
})
