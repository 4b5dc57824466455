import { Effect, Layer, References, Schema } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import { receive } from "../../src/layers/WebhookHttp.ts"
import { pauseStatus } from "../../src/topics/PauseStatus.ts"
import { config } from "../support/layers.ts"
import { eventId } from "../support/payloads.ts"
import { type Headers, secret, standardHeaders, staticSecret } from "../support/signing.ts"

export const url = "http://localhost/api/v1/webhooks/pause-status"
export const settings = { WEBHOOK_SECRETS: secret, WEBHOOK_STATIC_SECRET: staticSecret }

/** The whole handler, but for the database and the orchestrator, which are in memory. */
export const webhookWorld = (...behaviours: ReadonlyArray<OrchestratorClientMemory.Behaviour>) => {
  const store = DedupeStoreMemory.make()
  const orchestrator = OrchestratorClientMemory.make(...behaviours)
  const layer = Layer.mergeAll(
    // Its word at the start about the static secret is no request's.
    Layer.provide(SignatureVerifierWebCrypto.layer, Layer.succeed(References.MinimumLogLevel, "None")),
    store.layer,
    orchestrator.layer,
    HttpLimits.layer,
    Logging.json
  ).pipe(Layer.provide(config(settings)))
  return { layer, store, orchestrator, isUntouched: () => store.state.size + orchestrator.state.calls.length === 0 }
}

/** A request with a signed body, as the outbox sends it at the test clock's start. */
export const signed = (body: Uint8Array<ArrayBuffer>, headers: Headers = {}, id: string = eventId): Request =>
  new Request(url, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...standardHeaders(body, { id, seconds: 0 }), ...headers }
  })

/** A request as a stock dashboard webhook sends it. */
export const unsigned = (body: Uint8Array<ArrayBuffer>): Request =>
  new Request(url, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", "x-webhook-secret": staticSecret }
  })

const Reply = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

/** The reply to a delivery of pause-status. */
export const respond = receive(pauseStatus)

/** The reply to a request, read to its end. */
export const replyTo = Effect.fnUntraced(function* (request: Request) {
  const response = yield* respond(request)
  const body = yield* Schema.decodeUnknownEffect(Reply)(yield* Effect.promise(() => response.text()))
  return { status: response.status, headers: response.headers, body }
})

/** What is written on the process's console until the test ends, instead of on the console. */
export const capturedConsole = (onLine: () => void = () => {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const lines: Array<string> = []
      const { log } = console
      console.log = (line: unknown) => {
        lines.push(String(line))
        onLine()
      }
      return { lines, log }
    }),
    ({ log }) => Effect.sync(() => (console.log = log))
  ).pipe(Effect.map(({ lines }) => lines))
