import type { Random } from "../../chaos/random.ts"
import { anyBody, type Body } from "./bodies.ts"
import type { Expected, Input, World } from "./Input.ts"
import { anySignature, type Headers, signed, type Signature } from "./signatures.ts"
import { genuine } from "./payloads.ts"

/** A request as bytes on the wire; Latin-1, because a header may hold any byte. */
export const bytesOf = (method: string, target: string, headers: Headers, body: Buffer, version = "HTTP/1.1"): Buffer =>
  Buffer.concat([
    Buffer.from(
      `${method} ${target} ${version}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
      "latin1"
    ),
    body
  ])

export const PATH = "/pause-status-webhook-handler/api/v1/webhooks/pause-status"
export const HOST = ["host", "127.0.0.1"] as const
export const JSON_TYPE = ["content-type", "application/json"] as const
export const lengthOf = (body: Buffer) => ["content-length", String(body.length)] as const

interface Place {
  readonly kind: string
  readonly method: string
  readonly target: string
  /** When it is not where deliveries are posted. */
  readonly words?: ReadonlyArray<string>
}

const NOT_FOUND = ["404 not_found"]
const REFUSED = ["server", "closed"]

const rightPlace = (random: Random): Place => {
  const path = random.pick([PATH, PATH, PATH, "/api/v1/webhooks/pause-status"])
  const query = random.pick([
    "",
    "",
    "",
    "?",
    "?a=b&a=c",
    "?%zz=%",
    "?__proto__[type]=UPDATE",
    "?webhook-id=1&../../..",
    `?${"q=1&".repeat(2_000)}`,
    "?'%20or%201=1--"
  ])
  return { kind: "right", method: "POST", target: `${path}${query}` }
}

const wrongPath = (random: Random): Place => {
  const target = random.pick([
    "/",
    "//",
    "/pause-status-webhook-handler",
    "/pause-status-webhook-handler/",
    `${PATH}/`,
    `/${PATH}`,
    `${PATH}//`,
    PATH.toUpperCase(),
    PATH.replace("v1", "v2"),
    PATH.replace("/api", "//api"),
    PATH.replace("api", "%61pi"),
    PATH.replace("/api", "%2fapi"),
    PATH.replace("-handler", "-handlers"),
    `/pause-status-webhook-handler${PATH}`,
    `${PATH}%00`,
    `${PATH}%zz`,
    `${PATH};a=b`,
    `${PATH}.json`,
    "/..%2f..%2fetc/passwd",
    "/api/v1/webhooks/pause-status/../../../../etc/passwd",
    "/favicon.ico",
    "/.env",
    `/${"a/".repeat(4_000)}`,
    `/${"%41".repeat(3_000)}`,
    "/__proto__/constructor"
  ])
  return { kind: "path", method: random.pick(["POST", "POST", "PUT"]), target, words: NOT_FOUND }
}

const wrongMethod = (random: Random): Place => {
  const method = random.pick(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M".repeat(60)])
  // The list of events is at the same place, for those who may see it.
  const words = [method === "GET" ? "401 unauthorized" : "405 method_not_allowed"]
  return { kind: "method", method, target: PATH, words }
}

const anyPlace = (random: Random): Place =>
  ({ right: rightPlace, path: wrongPath, method: wrongMethod })[random.weighted({ right: 86, path: 8, method: 6 })](
    random
  )

const RIGHT_TYPES = ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;a=b"]
const WRONG_TYPES: ReadonlyArray<Headers> = [
  [],
  ...[
    "",
    "text/plain",
    "application/jsonp",
    "application/json, text/plain",
    "multipart/form-data; boundary=x",
    "*/*"
  ].map((type) => [["content-type", type]] as const),
  ...["gzip", "br", "deflate", "identity, gzip", "x", ""].map(
    (encoding) => [JSON_TYPE, ["content-encoding", encoding]] as const
  )
]

const ODD_HEADERS: Headers = [
  ["x-forwarded-for", "127.0.0.1, ::1"],
  ["x-forwarded-host", "evil.example"],
  ["x-original-url", "/health"],
  ["x-http-method-override", "DELETE"],
  ["forwarded", 'for="_x";proto=https'],
  ["cookie", `a=${"b".repeat(3_000)}`],
  ["range", "bytes=0-1"],
  ["if-none-match", "*"],
  ["accept", "text/html;q=nonsense"],
  ["accept-encoding", "gzip, br, zstd, *;q=0"],
  ["origin", "null"],
  ["te", "trailers"],
  ["traceparent", "00-nonsense"],
  ["apikey", "sb_secret_wrong"],
  ["authorization", "Bearer e30.e30."],
  ["authorization", "Basic Og=="],
  ["idempotency-key", "../x"],
  ["x-empty", ""],
  ["x-latin", "\u00e9\u00ff"],
  ["__proto__", "x"],
  ["constructor", "x"],
  ["upgrade-insecure-requests", "1"]
]

interface Media {
  readonly kind: string
  readonly headers: Headers
  readonly words?: ReadonlyArray<string>
}

const anyMedia = (random: Random): Media =>
  random.chance(0.95)
    ? { kind: "right", headers: [["content-type", random.pick(RIGHT_TYPES)]] }
    : { kind: "type", headers: random.pick(WRONG_TYPES), words: ["415 unsupported_media_type"] }

/** One request, and what it must be answered with. */
export interface Exchange {
  readonly kind: string
  readonly bytes: Buffer
  readonly expected: Expected
}

// The checks in the order in which the function makes them: the first that fails is the answer.
const answerTo = (place: Place, media: Media, body: Body, { refusal }: Signature): ReadonlyArray<string> =>
  place.words ??
  media.words ??
  (body.words.includes("413 body_too_large") || refusal === undefined ? body.words : [refusal])

/** A well-formed request with something, or nothing, wrong at each step of its way. */
export const anyExchange = (random: Random, world: World): Exchange => {
  const place = anyPlace(random)
  const media = anyMedia(random)
  const body = anyBody(random, world)
  const signature = anySignature(random, world.secret, body.bytes)
  const words = answerTo(place, media, body, signature)
  const odd = random.chance(0.3) ? random.sample(ODD_HEADERS, random.int(1, 6)) : []
  const headers = [HOST, ...random.shuffled([...media.headers, ...signature.headers, ...odd, lengthOf(body.bytes)])]
  const faults = [place, media, signature].flatMap(({ kind }) => (kind === "right" || kind === "signed" ? [] : [kind]))
  return {
    kind: faults.length === 0 ? body.kind : faults.length === 1 ? (faults[0] ?? "") : "several",
    bytes: bytesOf(place.method, place.target, headers, body.bytes),
    expected: {
      words: place.target.length > 60_000 ? [...words, ...REFUSED] : words,
      method: place.method,
      target: place.target,
      ...(signature.id !== undefined && { webhookId: signature.id }),
      ...(body.items !== undefined && { items: body.items })
    }
  }
}

/** A delivery that a mentor's coordinators must hear of, once. */
export const genuineInput = (random: Random, { secret }: Pick<World, "secret">): Input => {
  const event = { eventId: random.uuid(), mentorId: random.uuid() }
  const body = Buffer.from(genuine(random, event.eventId, event.mentorId))
  const headers = [HOST, JSON_TYPE, lengthOf(body), ...signed(secret, body, event.eventId)]
  return {
    kind: "genuine",
    pieces: [bytesOf("POST", PATH, headers, body)],
    replies: [{ words: ["200 notified"], method: "POST", target: PATH, webhookId: event.eventId }],
    alone: true,
    genuine: event
  }
}
