import * as Effect from "effect/Effect"
import { BodyTooLarge, BodyUnreadable, UnsupportedMediaType } from "./Problems.ts"

const isJson = /^application\/json\s*(?:;|$)/i

const readUpTo = Effect.fnUntraced(function* (
  stream: ReadableStream<Uint8Array>,
  maxBytes: number
): Effect.fn.Return<Uint8Array, BodyTooLarge | BodyUnreadable> {
  const reader = stream.getReader()
  const chunks: Array<Uint8Array> = []
  let length = 0
  while (true) {
    const { done, value } = yield* Effect.tryPromise({ try: () => reader.read(), catch: () => new BodyUnreadable() })
    if (done) break
    length += value.length
    if (length > maxBytes) {
      yield* Effect.ignore(Effect.tryPromise(() => reader.cancel()))
      return yield* new BodyTooLarge({ maxBytes })
    }
    chunks.push(value)
  }
  const [only] = chunks
  if (only !== undefined && chunks.length === 1) return only
  const whole = new Uint8Array(length)
  chunks.reduce((offset, chunk) => (whole.set(chunk, offset), offset + chunk.length), 0)
  return whole
})

/**
 * The raw bytes of a JSON request, never more than `maxBytes` of them in memory.
 *
 * **Fails with** UnsupportedMediaType, BodyTooLarge, BodyUnreadable (the sender hung up).
 */
export const readBody = Effect.fnUntraced(function* (
  request: Request,
  maxBytes: number
): Effect.fn.Return<Uint8Array, BodyTooLarge | BodyUnreadable | UnsupportedMediaType> {
  const encoding = request.headers.get("content-encoding")
  if (
    !isJson.test(request.headers.get("content-type") ?? "") ||
    (encoding !== null && encoding.toLowerCase() !== "identity")
  ) {
    return yield* new UnsupportedMediaType()
  }
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return yield* new BodyTooLarge({ maxBytes })
  return request.body === null ? new Uint8Array() : yield* readUpTo(request.body, maxBytes)
})
