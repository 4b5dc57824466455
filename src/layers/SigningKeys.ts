import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { createLocalJWKSet } from "jose/jwks/local"
import { KeysUnavailable } from "../services/Access.ts"

// Fetched again after this long, even if no unknown key was used.
const freshMillis = 10 * 60_000
// Trusted this long while no newer ones can be had: an outage of Auth must not lock everybody out, and a key that was
// revoked must not live on in one that nobody looks at.
const trustedMillis = 60 * 60_000
// Anyone can send tokens with made-up key ids, which must not cause a fetch each time.
const pauseMillis = 30_000
const pauseAfterFailureMillis = 5_000
const mostBytes = 65_536

// What else a key must be, such as for signatures and public, jose checks when a token names it.
const isNamed = Schema.is(Schema.Struct({ kid: Schema.NonEmptyString, kty: Schema.Literals(["EC", "RSA"]) }))
const decodeKeySet = Schema.decodeEffect(
  Schema.fromJsonString(Schema.Struct({ keys: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) }))
)

/** Finds the public key that a token's header names. */
export type KeySet = ReturnType<typeof createLocalJWKSet>

interface Known {
  readonly keySet: KeySet
  readonly kids: ReadonlySet<string>
  readonly fetchedAt: number
}

const readText = (
  reader: ReadableStreamDefaultReader<Uint8Array>,
  decoder: TextDecoder,
  left: number,
  text: string
): Promise<string> =>
  reader.read().then(({ done, value }) => {
    if (done) return text + decoder.decode()
    if (value.length <= left) {
      return readText(reader, decoder, left - value.length, text + decoder.decode(value, { stream: true }))
    }
    return reader.cancel().then(() => Promise.reject(new RangeError()))
  })

const textOf = (response: Response): Promise<string> =>
  response.body === null
    ? Promise.resolve("")
    : readText(response.body.getReader(), new TextDecoder("utf-8", { fatal: true }), mostBytes, "")

const discard = (response: Response): Promise<void> => response.body?.cancel() ?? Promise.resolve()

const describe = (cause: unknown): string => {
  if (cause instanceof RangeError) return `the key set is larger than ${mostBytes} bytes`
  return typeof cause === "number" ? `status ${cause}` : "the connection failed"
}

/**
 * Keeps the keys that the project's Auth publishes (RFC 7517). They are asked for when they are needed: at first, when
 * they have become old, and when a token names one that is not among them; by one caller at a time, within a timeout,
 * never twice within the pause. Old ones serve while Auth is unreachable, for an hour.
 *
 * A key counts by its key id only, and a bad one spoils none of its neighbours.
 */
export const make = (fetch: typeof globalThis.fetch, url: string, timeoutMillis: number) => {
  const oneAtATime = Semaphore.makeUnsafe(1)
  let known: Known | undefined
  let failure: string | undefined
  let notBefore = 0

  const download = Effect.gen(function* () {
    // One promise for head and body, so that the timeout aborts a body that never ends as well.
    const text = yield* Effect.tryPromise({
      try: (signal) =>
        fetch(url, { headers: { accept: "application/json" }, redirect: "manual", signal }).then((response) =>
          response.ok ? textOf(response) : discard(response).then(() => Promise.reject(response.status))
        ),
      catch: describe
    }).pipe(
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () => Effect.fail(`no answer within ${timeoutMillis} ms`)
      })
    )
    const { keys } = yield* Effect.mapError(decodeKeySet(text), () => "the answer is not a key set")
    const named = keys.filter(isNamed)
    return { keySet: createLocalJWKSet({ keys: named }), kids: new Set(named.map(({ kid }) => kid)) }
  })

  const refresh = Effect.gen(function* () {
    if ((yield* Clock.currentTimeMillis) < notBefore) return
    const downloaded = yield* Effect.result(download)
    const now = yield* Clock.currentTimeMillis
    if (downloaded._tag === "Success") known = { ...downloaded.success, fetchedAt: now }
    failure = downloaded._tag === "Failure" ? downloaded.failure : undefined
    notBefore = now + (failure === undefined ? pauseMillis : pauseAfterFailureMillis)
    if (failure !== undefined) yield* Effect.logWarning({ outcome: "KeysUnavailable", detail: failure })
  }).pipe(Semaphore.withPermit(oneAtATime))

  const age = (now: number): number => (known === undefined ? Infinity : now - known.fetchedAt)

  /** The keys, when the one named is among them; none when it is not. */
  const find = Effect.fnUntraced(function* (kid: string): Effect.fn.Return<Option.Option<KeySet>, KeysUnavailable> {
    const before = yield* Clock.currentTimeMillis
    if (age(before) >= freshMillis || known?.kids.has(kid) !== true) yield* refresh
    const now = yield* Clock.currentTimeMillis
    if (known !== undefined && age(now) < trustedMillis && known.kids.has(kid)) return Option.some(known.keySet)
    if (failure === undefined) return Option.none()
    return yield* new KeysUnavailable({
      detail: failure,
      retryAfterSeconds: Math.max(1, Math.ceil((notBefore - now) / 1000))
    })
  })

  return { find }
}
