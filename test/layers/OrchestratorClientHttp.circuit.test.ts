import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { config, type FetchStep, fetchOf } from "../support/layers.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"

const settings = {
  SUPABASE_URL: "https://abcdefgh.supabase.co",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}',
  ORCHESTRATOR_RETRIES: "0"
}
const accepted: FetchStep = { status: 200, body: "{}" }
const results = JSON.stringify({ results: [{ eventId, status: 200, receipt: {} }] })
const down = (count: number, step: FetchStep = { status: 503 }) => Array.from({ length: count }, () => step)

/** How so many calls of notify end, one after the other, each with so many events. */
const notify = Effect.fnUntraced(function* (times: number, events = 1) {
  const client = yield* OrchestratorClient
  const ends: Array<string> = []
  for (let turn = 0; turn < times; turn++) {
    const answers = yield* client.notify(Array.from({ length: events }, () => pauseEvent))
    ends.push(...answers.map((answer) => (Result.isSuccess(answer) ? "told" : answer.failure._tag)))
  }
  return ends
})

const within = <A, E>(
  { layer }: ReturnType<typeof fetchOf>,
  program: Effect.Effect<A, E, OrchestratorClient>,
  more: Readonly<Record<string, string>> = {}
) =>
  program.pipe(Effect.provide(OrchestratorClientHttp.layer), Effect.provide([layer, config({ ...settings, ...more })]))

const unavailable = (count: number) => Array.from({ length: count }, () => "OrchestratorUnavailable")

describe("the circuit of OrchestratorClientHttp", () => {
  it.effect("opens after five failed calls in a row: then it makes no calls, and events are parked", () => {
    const server = fetchOf(...down(5), accepted)
    return within(
      server,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* notify(5), unavailable(5))
        const [answer] = yield* OrchestratorClient.use((client) => client.notify([pauseEvent]))
        assert.deepInclude<unknown>(answer !== undefined && Result.isFailure(answer) && answer.failure, {
          _tag: "OrchestratorCircuitOpen",
          eventId,
          retryAfterSeconds: 10
        })
        assert.deepStrictEqual(
          yield* notify(2, 3),
          Array.from({ length: 6 }, () => "OrchestratorCircuitOpen")
        )
        assert.lengthOf(server.calls, 5)
      })
    )
  })

  it.effect("one call probes after the pause: a success closes it", () => {
    const server = fetchOf(...down(5), ...down(6, accepted))
    return within(
      server,
      Effect.gen(function* () {
        yield* notify(5)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* notify(6), ["told", "told", "told", "told", "told", "told"])
        assert.lengthOf(server.calls, 11)
      })
    )
  })

  it.effect("and a failure opens it again", () => {
    const server = fetchOf(...down(6), accepted)
    return within(
      server,
      Effect.gen(function* () {
        yield* notify(5)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* notify(2), ["OrchestratorUnavailable", "OrchestratorCircuitOpen"])
        assert.lengthOf(server.calls, 6)
      })
    )
  })

  it.effect("only one of many concurrent events probes, and the others are parked", () => {
    const server = fetchOf(...down(5), accepted)
    return within(
      server,
      Effect.gen(function* () {
        yield* notify(5)
        yield* TestClock.adjust("10 seconds")
        const ends = yield* notify(1, 4)
        assert.deepStrictEqual(ends.toSorted(), [
          "OrchestratorCircuitOpen",
          "OrchestratorCircuitOpen",
          "OrchestratorCircuitOpen",
          "told"
        ])
        assert.lengthOf(server.calls, 6)
      }),
      { ORCHESTRATOR_BATCH: "false" }
    )
  })

  it.effect("a call of many events is one call", () => {
    const server = fetchOf(...down(5), { status: 200, body: results })
    return within(
      server,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* notify(4, 3), unavailable(12))
        assert.deepStrictEqual(yield* notify(2), ["OrchestratorUnavailable", "OrchestratorCircuitOpen"])
        assert.lengthOf(server.calls, 5)
      })
    )
  })

  it.effect("the tries of one call are one failure", () => {
    const server = fetchOf(...down(20, { status: 503, headers: { "retry-after": "60" } }))
    return within(
      server,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* notify(6), [...unavailable(5), "OrchestratorCircuitOpen"])
      }),
      { ORCHESTRATOR_RETRIES: "10" }
    )
  })

  it.effect("a refusal is an answer, and closes what failed before", () => {
    const server = fetchOf(...down(4), { status: 400 }, ...down(4), accepted)
    return within(
      server,
      Effect.gen(function* () {
        const ends = [...unavailable(4), "OrchestratorRefused", ...unavailable(4), "told"]
        assert.deepStrictEqual(yield* notify(10), ends)
      })
    )
  })

  it.effect("a batch that is answered is a success, however its events end", () => {
    const refusals = JSON.stringify({
      results: [
        { eventId, status: 503 },
        { eventId, status: 400 }
      ]
    })
    const server = fetchOf(...down(4), { status: 200, body: refusals }, ...down(4), accepted)
    return within(
      server,
      Effect.gen(function* () {
        yield* notify(4)
        assert.deepStrictEqual(yield* notify(1, 2), ["OrchestratorUnavailable", "OrchestratorRefused"])
        assert.deepStrictEqual(yield* notify(5), [...unavailable(4), "told"])
      })
    )
  })

  it.effect("a longer Retry-After is granted", () => {
    const server = fetchOf(...down(4), { status: 503, headers: { "retry-after": "60" } }, accepted)
    return within(
      server,
      Effect.gen(function* () {
        yield* notify(5)
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(yield* notify(1), ["OrchestratorCircuitOpen"])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* notify(1), ["told"])
      })
    )
  })

  it.effect("opens after the configured failures, for the configured time", () => {
    const server = fetchOf(...down(2, "no connection"), accepted)
    return within(
      server,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* notify(3), [...unavailable(2), "OrchestratorCircuitOpen"])
        yield* TestClock.adjust(500)
        assert.deepStrictEqual(yield* notify(1), ["told"])
      }),
      { CIRCUIT_FAILURES: "2", CIRCUIT_OPEN_MS: "500" }
    )
  })
})
