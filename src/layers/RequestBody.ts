import * as Effect from "effect/Effect"
import { promiseWithin } from "./Deadline.ts"
import { BodyTooLarge, BodyTooSlow, BodyUnreadable, UnsupportedMediaType } from "./Problems.ts"

/** How much of a body is read, and how long it may take. **Units** bytes; milliseconds. */
export interface BodyLimits {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMillis: number
}

const isLength = /^\d+$/
const isJson = /^application\/json\s*(?:;|$)/i

// A server that answers before it has read the body closes the connection, and the sender, still writing, may never
// see the answer. So a refused body is read to its end too, within these limits.
const discardedAtMost = 1_048_576
const discardedWithin = "2 seconds"

type Reader = ReadableStreamDefaultReader<Uint8Array>

const readChunk = (reader: Reader) => Effect.tryPromise({ try: () => reader.read(), catch: () => new BodyUnreadable() })

const discard = Effect.fnUntraced(
  function* (reader: Reader) {
    let left = discardedAtMost
    while (left > 0) {
      const { done, value } = yield* readChunk(reader)
      if (done) return
      left -= value.length
    }
  },
  (discarding, reader) =>
    Effect.interruptible(discarding).pipe(
      Effect.timeoutOption(discardedWithin),
      Effect.ignore,
      Effect.andThen(Effect.ignore(Effect.tryPromise(() => reader.cancel())))
    )
)

/** Reads an unread body to its end, so that the reply arrives. */
export const discardBody = (request: Request): Effect.Effect<void> =>
  Effect.suspend(() => (request.body === null || request.body.locked ? Effect.void : discard(request.body.getReader())))

const join = (chunks: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const [only] = chunks
  if (only !== undefined && chunks.length === 1) return only
  const whole = new Uint8Array(length)
  chunks.reduce((offset, chunk) => (whole.set(chunk, offset), offset + chunk.length), 0)
  return whole
}

const readUpTo = Effect.fnUntraced(function* (
  reader: Reader,
  maxBytes: number
): Effect.fn.Return<Uint8Array, BodyTooLarge | BodyUnreadable> {
  const chunks: Array<Uint8Array> = []
  let length = 0
  while (true) {
    const { done, value } = yield* readChunk(reader)
    if (done) return join(chunks, length)
    length += value.length
    if (length > maxBytes) return yield* new BodyTooLarge({ maxBytes })
    chunks.push(value)
  }
})

// A sender that dawdles would hold a worker that others wait for.
const readInTime = (
  reader: Reader,
  { bodyTimeoutMillis, maxBodyBytes }: BodyLimits
): Effect.Effect<Uint8Array, BodyTooLarge | BodyTooSlow | BodyUnreadable> =>
  readUpTo(reader, maxBodyBytes).pipe(
    Effect.timeout(bodyTimeoutMillis),
    Effect.catchTags({
      BodyTooLarge: (error) => Effect.andThen(discard(reader), error),
      TimeoutError: () =>
        Effect.andThen(
          Effect.ignore(Effect.tryPromise(() => reader.cancel())),
          new BodyTooSlow({ timeoutMillis: bodyTimeoutMillis })
        )
    })
  )

// Of a stated length the server gives no more than that, and all of it at once: a quarter of the time of a reader.
// The price: one that is late cannot be let go of, as the stream is locked by then and Deno's read heeds no signal. The
// reply does not wait for it; what has come, which is within the limit, is kept until the sender hangs up.
const readStated = (request: Request, { bodyTimeoutMillis, maxBodyBytes }: BodyLimits) =>
  Effect.flatMap(
    promiseWithin<ArrayBuffer, BodyTooSlow | BodyUnreadable>({
      millis: bodyTimeoutMillis,
      promise: () => request.arrayBuffer(),
      onRejection: () => new BodyUnreadable(),
      onTimeout: () => new BodyTooSlow({ timeoutMillis: bodyTimeoutMillis })
    }),
    (buffer): Effect.Effect<Uint8Array, BodyTooLarge> =>
      buffer.byteLength > maxBodyBytes
        ? new BodyTooLarge({ maxBytes: maxBodyBytes })
        : Effect.succeed(new Uint8Array(buffer))
  )

/**
 * The raw bytes of a JSON request, never more than `maxBodyBytes` of them in memory.
 *
 * **Fails with** UnsupportedMediaType, BodyTooLarge, BodyTooSlow, BodyUnreadable (the sender hung up).
 */
export const readBody = (
  request: Request,
  limits: BodyLimits
): Effect.Effect<Uint8Array, BodyTooLarge | BodyTooSlow | BodyUnreadable | UnsupportedMediaType> => {
  const encoding = request.headers.get("content-encoding")?.toLowerCase() ?? "identity"
  if (!isJson.test(request.headers.get("content-type") ?? "") || encoding !== "identity") {
    return new UnsupportedMediaType()
  }
  const stated = request.headers.get("content-length")
  if (Number(stated) > limits.maxBodyBytes) return new BodyTooLarge({ maxBytes: limits.maxBodyBytes })
  if (isLength.test(stated ?? "") && !request.headers.has("transfer-encoding")) return readStated(request, limits)
  return request.body === null ? Effect.succeed(new Uint8Array()) : readInTime(request.body.getReader(), limits)
}
