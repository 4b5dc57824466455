import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { discardBody, readBody } from "../../src/layers/RequestBody.ts"
import { throughTime } from "../support/layers.ts"
import { url } from "./webhookWorld.ts"

const json = { "content-type": "application/json" }
const text = (length: number) => new TextEncoder().encode("x".repeat(length))

const requestOf = (body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null, headers = {}) => {
  const init = { method: "POST", headers: { ...json, ...headers }, body, duplex: "half" }
  return new Request(url, init)
}

/** A body without a length, in chunks; `sent` counts those that were taken. */
const streamOf = (...chunks: ReadonlyArray<Uint8Array>) => {
  const state = { sent: 0, cancelled: false }
  const left = [...chunks]
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const chunk = left.shift()
        if (chunk === undefined) return controller.close()
        state.sent++
        controller.enqueue(chunk)
      },
      cancel: () => {
        state.cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  return { state, stream }
}

const limits = { maxBodyBytes: 10, bodyTimeoutMillis: 5_000 }

const tagOf = (request: Request) =>
  readBody(request, limits).pipe(Effect.match({ onSuccess: (bytes) => bytes.length, onFailure: (error) => error._tag }))

describe("readBody", () => {
  it.effect("returns the bytes as they were sent, whatever their chunks", () =>
    Effect.gen(function* () {
      const bytes = Uint8Array.from([0, 255, 10, 13, 34, 239, 187, 191])
      const { stream } = streamOf(bytes.slice(0, 3), new Uint8Array(0), bytes.slice(3))
      assert.deepStrictEqual([...(yield* readBody(requestOf(bytes), limits))], [...bytes])
      assert.deepStrictEqual([...(yield* readBody(requestOf(stream), limits))], [...bytes])
    })
  )

  it.effect("returns no bytes for no body", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(requestOf(null)), 0)
      assert.strictEqual(yield* tagOf(requestOf(streamOf().stream)), 0)
    })
  )

  it.effect("accepts as many bytes as allowed, and not one more", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(requestOf(text(10))), 10)
      assert.strictEqual(yield* tagOf(requestOf(text(11))), "BodyTooLarge")
      assert.strictEqual(yield* tagOf(requestOf(streamOf(text(5), text(5)).stream)), 10)
      assert.strictEqual(yield* tagOf(requestOf(streamOf(text(5), text(6)).stream)), "BodyTooLarge")
    })
  )

  it.effect("believes a Content-Length that is too large, without reading", () =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(text(1))
      assert.strictEqual(yield* tagOf(requestOf(stream, { "content-length": "11" })), "BodyTooLarge")
      assert.strictEqual(state.sent, 0)
    })
  )

  it.effect.each(["0", "-1", "NaN", "5, 5", "", "1e0"])(
    "does not believe a Content-Length of %j that is small",
    (length) =>
      Effect.gen(function* () {
        const { stream } = streamOf(text(11))
        assert.strictEqual(yield* tagOf(requestOf(stream, { "content-length": length })), "BodyTooLarge")
      })
  )

  it.effect("reads on past the limit, discarding the data, so that the sender sees the answer", () =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(...Array.from({ length: 100 }, () => text(6)))
      assert.strictEqual(yield* tagOf(requestOf(stream)), "BodyTooLarge")
      assert.deepStrictEqual(state, { sent: 100, cancelled: false })
    })
  )

  it.effect("stops reading a body of more than a mebibyte", () =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(...Array.from({ length: 100 }, () => text(131_072)))
      assert.strictEqual(yield* tagOf(requestOf(stream)), "BodyTooLarge")
      assert.deepStrictEqual(state, { sent: 9, cancelled: true })
    })
  )

  it.effect("says how large a body may be", () =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(readBody(requestOf(text(11)), limits))).message, "10 bytes")
    })
  )

  it.effect.each([
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json ;charset=utf-8"
  ])("%s is JSON", (type) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(requestOf(text(1), { "content-type": type })), 1)
    })
  )

  it.effect.each([
    { "content-type": "text/plain" },
    { "content-type": "" },
    { "content-type": "application/jsonl" },
    { "content-type": "application/x-www-form-urlencoded" },
    { "content-type": "text/plain; application/json" },
    { "content-encoding": "gzip" },
    { "content-encoding": "br, identity" }
  ])("%j is not accepted as JSON", (headers) =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(text(1))
      assert.strictEqual(yield* tagOf(requestOf(stream, headers)), "UnsupportedMediaType")
      assert.strictEqual(state.sent, 0)
    })
  )

  it.effect("an identity encoding, in any case, is no encoding", () =>
    Effect.gen(function* () {
      for (const encoding of ["identity", "Identity"]) {
        assert.strictEqual(yield* tagOf(requestOf(text(1), { "content-encoding": encoding })), 1, encoding)
      }
    })
  )

  it.effect("a body that ends early cannot be read", () =>
    Effect.gen(function* () {
      const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("reset")) })
      assert.strictEqual(yield* tagOf(requestOf(broken)), "BodyUnreadable")
    })
  )
})

/** A body that sends a byte each second for so long, and then nothing; `cancelled` says that it was let go. */
const dawdling = (seconds: number) =>
  Effect.gen(function* () {
    const state = { cancelled: false }
    const clock = yield* Clock.Clock
    let left = seconds
    const stream = new ReadableStream<Uint8Array>(
      {
        pull: (controller) =>
          left-- > 0
            ? Effect.runPromise(Effect.as(clock.sleep(Duration.seconds(1)), controller.enqueue(text(1))))
            : new Promise(() => {}),
        cancel: () => {
          state.cancelled = true
        }
      },
      { highWaterMark: 0 }
    )
    return { state, stream }
  })

describe("readBody, with a slow body", () => {
  it.effect("waits five seconds for the whole body, byte by byte, and then stops", () =>
    Effect.gen(function* () {
      const { state, stream } = yield* dawdling(8)
      const error = yield* throughTime(Effect.uninterruptible(Effect.flip(readBody(requestOf(stream), limits))), 500)
      assert.deepInclude({ ...error }, { _tag: "BodyTooSlow", timeoutMillis: 5_000 })
      assert.isTrue(state.cancelled)
      const elapsed = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      assert.isAtLeast(elapsed, 5_000)
      assert.isAtMost(elapsed, 6_000)
    })
  )
})

describe("discardBody", () => {
  it.effect("reads a body to its end, so that the sender waits for the answer", () =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(text(6), text(6), text(6))
      yield* discardBody(requestOf(stream))
      assert.deepStrictEqual(state, { sent: 3, cancelled: false })
    })
  )

  it.effect("stops reading a body that stalls for two seconds, even in an uninterruptible region", () =>
    Effect.gen(function* () {
      const state = { cancelled: false }
      const stalled = new ReadableStream<Uint8Array>({
        pull: () => new Promise(() => {}),
        cancel: () => {
          state.cancelled = true
        }
      })
      yield* throughTime(Effect.uninterruptible(discardBody(requestOf(stalled))), 500)
      const elapsed = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      assert.isTrue(state.cancelled)
      assert.isAtLeast(elapsed, 2_000)
      assert.isAtMost(elapsed, 3_000)
    })
  )

  it.effect("ignores a body that is read elsewhere, broken or missing", () =>
    Effect.gen(function* () {
      const { state, stream } = streamOf(text(6))
      const taken = requestOf(stream)
      taken.body?.getReader()
      yield* discardBody(taken)
      assert.strictEqual(state.sent, 0)
      const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("reset")) })
      yield* discardBody(requestOf(broken))
      yield* discardBody(requestOf(null))
    })
  )
})
