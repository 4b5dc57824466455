import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { openapiText } from "../../local/openapi.ts"
import { Misconfigured } from "../../src/layers/Config.ts"
import { InvalidId } from "../../src/layers/InvalidRequest.ts"
import * as Problems from "../../src/layers/Problems.ts"
import { Problem } from "../../src/schema/Replies.ts"
import { KeysUnavailable, NotAllowed } from "../../src/services/Access.ts"
import { CredentialsRejected } from "../../src/services/CredentialsRejected.ts"
import * as Store from "../../src/services/DedupeStore.ts"
import {
  EventNotFailed,
  EventNotSettled,
  EventStoreUnavailable,
  EventUnknown,
  RedriveSuperseded
} from "../../src/services/EventStore.ts"
import { InvalidQuery, TopicUnknown } from "../../src/services/ManagedTopics.ts"
import { EventSuperseded, NotificationStoreUnavailable } from "../../src/topics/NotificationStore.ts"
import {
  OrchestratorCircuitOpen,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../../src/topics/OrchestratorClient.ts"
import { NoEventTime } from "../../src/services/Extract.ts"
import { InvalidPayload, MalformedBody } from "../../src/services/Payload.ts"
import { SignatureRejected, SignatureStale } from "../../src/services/SignatureVerifier.ts"
import { eventId } from "../support/payloads.ts"

const issues = [{ path: ["record", "id"], message: "Expected a UUID" }]
const receipt = { notified: 2, notificationIds: ["a", "ü"] }
const canary = "canary-7f3a"

interface Case {
  readonly error: Problems.ReplyError
  readonly status: number
  readonly code: Problem["code"]
  readonly members?: Partial<Problem>
  readonly headers?: Readonly<Record<string, string>>
}

const again = { "retry-after": "5" }
const cases: ReadonlyArray<Case> = [
  { error: new MalformedBody(), status: 400, code: "malformed_json" },
  { error: new Problems.BodyUnreadable(), status: 408, code: "body_unreadable" },
  { error: new Problems.BodyTooSlow({ timeoutMillis: 5_000 }), status: 408, code: "body_unreadable" },
  { error: new InvalidPayload({ issues }), status: 400, code: "invalid_payload", members: { issues } },
  { error: new NoEventTime(), status: 400, code: "no_event_time" },
  {
    error: new SignatureRejected({ reason: "mismatch", skewSeconds: 301 }),
    status: 401,
    code: "unauthorized",
    headers: { "www-authenticate": "Signature" }
  },
  {
    error: new SignatureStale({ skewSeconds: -301 }),
    status: 401,
    code: "stale_signature",
    members: { skewSeconds: -301 },
    headers: { "www-authenticate": "Signature" }
  },
  {
    error: new CredentialsRejected({ reason: "missing" }),
    status: 401,
    code: "unauthorized",
    headers: { "www-authenticate": "Bearer" }
  },
  { error: new NotAllowed({ needs: "role" }), status: 403, code: "forbidden" },
  {
    error: new KeysUnavailable({ detail: canary, retryAfterSeconds: 30 }),
    status: 503,
    code: "keys_unavailable",
    headers: { "retry-after": "30" }
  },
  { error: new InvalidQuery({ issues }), status: 400, code: "invalid_query", members: { issues } },
  { error: new InvalidId({ issues }), status: 400, code: "invalid_id", members: { issues } },
  { error: new Problems.NotFound(), status: 404, code: "not_found" },
  { error: new TopicUnknown(), status: 404, code: "not_found" },
  { error: new EventUnknown({ eventId }), status: 404, code: "not_found", members: { eventId } },
  { error: new RedriveSuperseded({ eventId }), status: 409, code: "superseded", members: { eventId } },
  { error: new EventNotFailed({ eventId }), status: 409, code: "not_failed", members: { eventId } },
  { error: new EventNotSettled({ eventId }), status: 409, code: "not_settled", members: { eventId } },
  {
    error: new EventStoreUnavailable({ operation: "list", detail: canary }),
    status: 503,
    code: "store_unavailable",
    headers: again
  },
  {
    error: new Problems.MethodNotAllowed({ allow: "POST" }),
    status: 405,
    code: "method_not_allowed",
    headers: { allow: "POST" }
  },
  {
    error: new Store.AlreadyProcessed({ eventId, receipt }),
    status: 409,
    code: "already_processed",
    members: { eventId, receipt }
  },
  {
    error: new Store.EventInFlight({ eventId, retryAfterSeconds: 12 }),
    status: 409,
    code: "in_flight",
    members: { eventId },
    headers: { "retry-after": "12" }
  },
  { error: new Store.EventDeadLettered({ eventId }), status: 409, code: "dead_letter", members: { eventId } },
  {
    error: new Store.EventOutOfOrder({ eventId, retryAfterSeconds: 3 }),
    status: 409,
    code: "out_of_order",
    members: { eventId },
    headers: { "retry-after": "3" }
  },
  { error: new Store.EventNotInOutbox({ eventId }), status: 409, code: "unknown_event", members: { eventId } },
  { error: new EventSuperseded({ eventId }), status: 409, code: "superseded", members: { eventId } },
  { error: new Problems.BodyTooLarge({ maxBytes: 10 }), status: 413, code: "body_too_large" },
  { error: new Problems.UnsupportedMediaType(), status: 415, code: "unsupported_media_type" },
  { error: new Store.PayloadMismatch({ eventId }), status: 422, code: "payload_mismatch", members: { eventId } },
  { error: new Store.EventUnstorable({ eventId }), status: 422, code: "payload_mismatch", members: { eventId } },
  {
    error: new OrchestratorCircuitOpen({ eventId, retryAfterSeconds: 9 }),
    status: 503,
    code: "circuit_open",
    members: { eventId },
    headers: { "retry-after": "9" }
  },
  {
    error: new OrchestratorRefused({ eventId, status: 400 }),
    status: 502,
    code: "orchestrator_refused",
    members: { eventId, retryable: false }
  },
  {
    error: new OrchestratorUnavailable({ eventId, failure: "status", detail: "status 503", retryAfterSeconds: 9 }),
    status: 502,
    code: "orchestrator_unavailable",
    members: { eventId, retryable: true },
    headers: { "retry-after": "9" }
  },
  {
    error: new Store.DedupeStoreUnavailable({ operation: "claim", detail: canary }),
    status: 503,
    code: "store_unavailable",
    headers: again
  },
  {
    error: new NotificationStoreUnavailable({ detail: canary }),
    status: 503,
    code: "store_unavailable",
    headers: again
  },
  { error: new Misconfigured({ key: canary, hint: canary }), status: 503, code: "misconfigured", headers: again },
  { error: new Problems.Internal(), status: 500, code: "internal" }
]

const read = (response: Response) =>
  Effect.map(
    Effect.promise(() => response.text()),
    Schema.decodeUnknownSync(Schema.fromJsonString(Problem), { onExcessProperty: "error" })
  )

const sometimes = ["allow", "retry-after", "www-authenticate"]

describe("Problems", () => {
  it("the table has a row for each error, and no other", () => {
    const tags = cases.map(({ error }) => error._tag)
    assert.deepStrictEqual(Object.keys(Problems.table).toSorted(), tags.toSorted())
  })

  for (const { code, error, headers = {}, members = {}, status } of cases) {
    it.effect(`${error._tag} is a ${status} ${code}`, () =>
      Effect.gen(function* () {
        const response = Problems.toResponse(error)
        assert.strictEqual(response.status, status)
        assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
        const { detail, title, ...problem } = yield* read(response)
        assert.deepStrictEqual<unknown>(problem, { type: "about:blank", status, code, ...members })
        assert.isNotEmpty(title)
        assert.isNotEmpty(detail)
        assert.notStrictEqual(title, "Error")
        const sent = sometimes.flatMap((name) =>
          response.headers.has(name) ? [[name, response.headers.get(name)]] : []
        )
        assert.deepStrictEqual(Object.fromEntries(sent), headers)
      })
    )
  }

  it("the contract's examples are the real replies", () => {
    const withoutNumbers = (text: string) => text.replaceAll(/\d+/g, "n")
    const said = [...cases.map(({ error }) => error), new NotAllowed({ needs: "admin" })]
      .map(Problems.toProblem)
      .map(({ code, detail }) => withoutNumbers(`${code}: ${detail}`))
    const schemas: Readonly<Record<string, { readonly examples?: ReadonlyArray<Partial<Problem>> }>> =
      JSON.parse(openapiText()).components.schemas
    const examples = Object.values(schemas).flatMap((schema) => schema.examples ?? [])
    const problems = examples.flatMap(({ code, detail }) =>
      code === undefined ? [] : [withoutNumbers(`${code}: ${detail}`)]
    )
    assert.isAtLeast(problems.length, 20)
    assert.includeMembers(said, problems)
  })

  it.effect("our own errors stay in the log", () =>
    Effect.gen(function* () {
      for (const { error } of cases) {
        const text = yield* Effect.promise(() => Problems.toResponse(error).text())
        assert.notInclude(text, canary)
      }
    })
  )

  it.effect("an unknown caller does not learn why a signature was refused", () =>
    Effect.gen(function* () {
      const texts = new Set<string>()
      for (const reason of ["missing", "malformed", "mismatch"] as const) {
        for (const skew of [{}, { skewSeconds: 301 }]) {
          texts.add(JSON.stringify(yield* read(Problems.toResponse(new SignatureRejected({ reason, ...skew })))))
        }
      }
      assert.strictEqual(texts.size, 1)
    })
  )

  it("an orchestrator without a Retry-After gives none", () => {
    const error = new OrchestratorUnavailable({ eventId, failure: "timeout", detail: "no answer" })
    assert.isNull(Problems.toResponse(error).headers.get("retry-after"))
  })
})
