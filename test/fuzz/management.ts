import type { Random } from "../../chaos/random.ts"
import { anyCredentials, type Credentials } from "./credentials.ts"
import type { World } from "./Input.ts"
import { bytesOf, type Exchange, HOST, JSON_TYPE, lengthOf, PATH } from "./requests.ts"

interface Ask {
  readonly kind: string
  readonly method: string
  readonly target: string
  readonly body?: Buffer
  readonly type?: string
  /** What those are answered who may ask. */
  readonly words: ReadonlyArray<string>
  /** Whether a coordinator may ask; what then, when that is another answer. */
  readonly toCoordinators?: ReadonlyArray<string>
}

const OK = ["200 json"]
const INVALID_QUERY = ["400 invalid_query"]
const ROOTS = ["/pause-status-webhook-handler", ""]
const UUID = "3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b"

const base64url = (text: string): string => Buffer.from(text).toString("base64url")

const filters = (random: Random, { mentorIds }: World): ReadonlyArray<string> => [
  `status=${random.pick(["pending", "processing", "completed", "failed"])}`,
  `key=${random.pick([...mentorIds, UUID.toUpperCase(), "%F0%9F%8C%B1"])}`,
  random.pick(["transition=PAUSE", "transition=RESUME", "record=%7B%7D", "record=%7B%22status%22:%22paused%22%7D"]),
  `occurredFrom=${random.pick(["2026-11-22T09:30:00Z", "0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59%2B14:00"])}`,
  `occurredTo=${random.pick(["2026-11-22T09:30:00-05:00", "1582-10-10T00:00:00Z", "2028-02-29T00:00:00.5Z"])}`,
  `limit=${random.int(1, 100)}`,
  `cursor=${base64url(`{"createdAt":"2026-11-22T09:30:00.123456Z","eventId":"${UUID}"}`)}`
]

const WRONG_FILTERS = [
  "status=done",
  "status=",
  "status=PENDING",
  "status[]=pending",
  `mentorId=${UUID}`,
  "key=",
  `key=${"k".repeat(201)}`,
  `key=${UUID}%00`,
  "record=paused",
  "record=[]",
  "record=%7B%22status%22:%7B%7D%7D",
  "record=%7B%22status%22:%22%5Cu0000%22%7D",
  "transition=NO_CHANGE",
  "transition=pause",
  "occurredFrom=yesterday",
  "occurredFrom=2026-02-30T00:00:00Z",
  "occurredFrom=2026-11-22T09:30:00",
  "occurredTo=0000-01-01T00:00:00Z",
  "occurredTo=2026-11-22T24:00:00Z",
  "occurredTo=infinity",
  "limit=0",
  "limit=101",
  "limit=1e1",
  "limit=-1",
  "limit=%2B5",
  "limit=0x10",
  "limit=",
  `limit=${"9".repeat(400)}`,
  "cursor=",
  "cursor=!!!!",
  "cursor=%FF",
  `cursor=${base64url("null")}`,
  `cursor=${base64url("{}")}`,
  `cursor=${base64url('{"createdAt":"now","eventId":"x"}')}`,
  `cursor=${base64url(`{"createdAt":"2026-11-22T09:30:00Z' or 1=1--","eventId":"${UUID}"}`)}`,
  `cursor=${base64url(`{"createdAt":"2026-99-99T09:30:00.123456Z","eventId":"${UUID}"}`)}`,
  `cursor=${"A".repeat(5_000)}`,
  "coordinatorId=3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b",
  "after=1",
  "unknown=1",
  "%00=1",
  "constructor=1",
  "toString=1"
]

const list = (random: Random, world: World): Ask => {
  const right = random.sample(filters(random, world), random.int(0, 4))
  const wrong = random.chance(0.5) ? random.sample(WRONG_FILTERS, random.int(1, 2)) : []
  const query = random.shuffled([...right, ...wrong]).join("&")
  const words = wrong.length === 0 ? OK : INVALID_QUERY
  return {
    kind: "list",
    method: "GET",
    target: `${PATH}${query === "" ? random.pick(["", "?"]) : `?${query}`}`,
    words,
    toCoordinators: words
  }
}

const oddList = (random: Random): Ask => {
  const words = [...OK, ...INVALID_QUERY]
  const query = random.pick([
    "status=failed&status=failed",
    "__proto__=1",
    "&&&",
    "=",
    "?",
    "%zz=1",
    "limit=5&limit=6",
    "#"
  ])
  return { kind: "odd list", method: "GET", target: `${PATH}?${query}`, words, toCoordinators: words }
}

const WRONG_IDS = [
  "42",
  "null",
  "__proto__",
  "%20",
  "%27%3B%20drop%20table%20public.notifications%3B--",
  `${UUID}x`,
  `%7B${UUID}%7D`,
  UUID.replaceAll("-", ""),
  `${UUID}%0a`,
  `${UUID}%00`,
  "%F0%9F%8C%B1",
  "..%2f..%2fhealth",
  "health"
]
const UNREADABLE_IDS = ["%ff", "%zz", "%", "%c0%af", "a".repeat(4_000)]

const CHANGES = [
  '{"status": "pending"}',
  '{"status": "pending", "force": true, "dryRun": true}',
  '{"status": "resolved", "notes": "dealt with by hand \\u{1f331}"}'.replace("\\u{1f331}", "🌱"),
  '{"status": "resolved", "dryRun": true}',
  '{"status": "resolved", "status": "pending"}'
]
const WRONG_CHANGES = [
  "null",
  "[]",
  "5",
  "{}",
  '{"status": "failed"}',
  '{"status": null}',
  '{"status": ["pending"]}',
  '{"status": "pending", "force": "yes"}',
  '{"status": "pending", "dryRun": 1}',
  '{"status": "resolved", "notes": 5}',
  '{"status": "resolved", "notes": "\\u0000"}',
  '{"status": "resolved", "notes": "\\ud800"}',
  `{"status": "resolved", "notes": "${"n".repeat(2_001)}"}`,
  '{"__proto__": {"status": "pending"}}'
]
const NO_CHANGES = ["", "{", "status=pending", '{"status": "pending",}', "\u00ff", "[".repeat(50_000)]

const one = (random: Random, world: World): Ask => {
  const known = random.chance(0.4)
  const method = random.weighted({ GET: 50, PUT: 40, DELETE: 10 })
  const id = known ? random.pick(world.eventIds) : random.uuid()
  const target = `${PATH}/${random.chance(0.1) ? id.toUpperCase() : id}`
  const gone = ["404 not_found"]
  if (method === "GET")
    return { kind: "event", method, target, words: known ? [...OK, ...gone] : gone, toCoordinators: gone }
  if (method === "DELETE") return { kind: "erase", method, target, words: known ? ["204 empty"] : gone }
  const [text, words] = random.pick([
    [random.pick(CHANGES), known ? ["409 not_failed", ...gone] : gone],
    [random.pick(WRONG_CHANGES), ["400 invalid_payload"]],
    [random.pick(NO_CHANGES), ["400 malformed_json"]],
    [" ".repeat(world.maxBodyBytes + random.int(1, 100)), ["413 body_too_large"]]
  ] as const)
  const type = random.chance(0.9) ? "application/json" : random.pick(["text/plain", "", "application/merge-patch+json"])
  return {
    kind: "change",
    method,
    target,
    body: Buffer.from(text, "latin1"),
    type,
    words: type === "application/json" ? words : ["415 unsupported_media_type"]
  }
}

const badId = (random: Random): Ask => {
  const readable = random.chance(0.8)
  const words = readable ? ["400 invalid_id"] : ["400 invalid_id", "404 not_found"]
  return {
    kind: "bad id",
    method: random.pick(["GET", "PUT", "DELETE"]),
    target: `${PATH}/${random.pick(readable ? WRONG_IDS : UNREADABLE_IDS)}${random.pick(["", "?x=1"])}`,
    words
  }
}

const system = (random: Random): Ask => {
  const path = random.pick(["/health", "/openapi.json"])
  const target = `${random.pick(ROOTS)}${path}${random.pick(["", "", "?", "?verbose=1"])}`
  return path === "/health"
    ? { kind: "health", method: "GET", target, words: [...OK, "503 json"] }
    : { kind: "openapi", method: "GET", target, words: OK, toCoordinators: OK }
}

const wrongMethod = (random: Random): Ask => ({
  kind: "management method",
  method: random.pick(["POST", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"]),
  target: random.pick([`${PATH}/${UUID}`, "/health", "/openapi.json"]),
  words: ["405 method_not_allowed"]
})

// The route first, then who asks, then what for.
const answerTo = ({ kind, method, toCoordinators, words }: Ask, { may }: Credentials): ReadonlyArray<string> => {
  if (kind === "management method") return words
  // An unreadable path may be no route at all.
  const unread = words.includes("404 not_found") && kind === "bad id" ? ["404 not_found"] : []
  if (may === "nobody knows") return ["401 unauthorized", ...unread]
  if (may === "nothing") return ["403 forbidden", ...unread]
  if (may === "everything") return words
  return toCoordinators ?? (kind === "bad id" && method === "GET" ? words : ["403 forbidden", ...unread])
}

const ASKS = { list, oddList, one, badId, system, wrongMethod }

/** One question of somebody who looks after events, or would like to. */
export const anyQuestion = (random: Random, world: World): Exchange => {
  const ask = ASKS[random.weighted({ list: 30, oddList: 3, one: 40, badId: 12, system: 8, wrongMethod: 7 })](
    random,
    world
  )
  const credentials = anyCredentials(random, world)
  const body = ask.body ?? Buffer.alloc(0)
  const type = ask.type === undefined ? JSON_TYPE : (["content-type", ask.type] as const)
  const headers = [HOST, ...random.shuffled([...credentials.headers, ...(ask.body ? [type, lengthOf(body)] : [])])]
  return {
    kind: credentials.may === "nobody knows" ? "credentials" : ask.kind,
    bytes: bytesOf(ask.method, ask.target, headers, body),
    expected: { words: answerTo(ask, credentials), method: ask.method, target: ask.target }
  }
}
