import type { Random } from "../../local/chaos/random.ts"
import { anyBody } from "./bodies.ts"
import type { Expected, Input, Piece, World } from "./Input.ts"
import { harmless } from "./payloads.ts"
import { anyExchange, bytesOf, HOST, JSON_TYPE, lengthOf, PATH } from "./requests.ts"
import { type Headers, signed } from "./signatures.ts"

// The server's own answer to what is no HTTP, or the function's to a request without a signature.
const SERVER = ["server", "closed"]
const BROKEN = ["408 body_unreadable", ...SERVER]
const CHANGELESS = ["200 no_change"]

const post = (words: ReadonlyArray<string>, target?: string): Expected => ({
  words,
  method: "POST",
  ...(target !== undefined && { target })
})

const delivery = (random: Random, world: World) => {
  const body = Buffer.from(harmless(random, world).text)
  return { body, headers: [HOST, JSON_TYPE, ...signed(world.secret, body, random.uuid())] satisfies Headers }
}

const orClosed = (expected: Expected): Expected => ({ ...expected, words: [...expected.words, "closed"] })

const alone = (kind: string, pieces: ReadonlyArray<Piece>, ...replies: ReadonlyArray<Expected>): Input => ({
  kind,
  pieces,
  replies,
  alone: true
})

const chunkOf = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")])

const slices = (random: Random, bytes: Buffer, most: number): ReadonlyArray<Buffer> => {
  const size = Math.max(1, Math.ceil(bytes.length / random.int(2, most)))
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
}

const CHUNKED = ["transfer-encoding", "chunked"] as const
const LAST_CHUNK = Buffer.from("0\r\n\r\n")
const NOTHING = Buffer.alloc(0)
const FOREVER = ["content-length", "200000"] as const

type Maker = (random: Random, world: World) => Input

/** Bodies whose framing is unusual but right: the answer is that of any body. */
const wellFramed: Readonly<Record<string, Maker>> = {
  chunked: (random, world) => {
    const { body, headers } = delivery(random, world)
    const chunks = slices(random, body, 9).map(chunkOf)
    return alone(
      "chunked",
      [bytesOf("POST", PATH, [...headers, CHUNKED], NOTHING), ...chunks, LAST_CHUNK],
      post(CHANGELESS)
    )
  },
  largeInChunks: (random, world) => {
    const { text } = harmless(random, world)
    const surplus = random.pick([0, 1, 65_536])
    const body = Buffer.from(text + " ".repeat(world.maxBodyBytes - Buffer.byteLength(text) + surplus))
    const headers = [HOST, JSON_TYPE, CHUNKED, ...signed(world.secret, body, random.uuid())]
    return alone(
      "large, in chunks",
      [bytesOf("POST", PATH, headers, NOTHING), ...slices(random, body, 5).map(chunkOf), LAST_CHUNK],
      post(surplus === 0 ? CHANGELESS : ["413 body_too_large"])
    )
  },
  trailers: (random, world) => {
    const { body, headers } = delivery(random, world)
    const [, , ...signature] = headers
    const trailers = signature.map(([name, value]) => `${name}: ${value}\r\n`).join("")
    const head = bytesOf("POST", PATH, [HOST, JSON_TYPE, CHUNKED, ["trailer", "webhook-signature"]], NOTHING)
    return alone(
      "signature in a trailer",
      [head, chunkOf(body), Buffer.from(`0\r\n${trailers}\r\n`)],
      post(["401 unauthorized", ...SERVER])
    )
  },
  inTime: (random, world) => {
    const { body, headers } = delivery(random, world)
    const pause = Math.floor(world.bodyTimeoutMillis / 20)
    const parts = slices(random, body, 4).flatMap((part): Array<Piece> => [part, pause])
    return alone("slow", [bytesOf("POST", PATH, [...headers, lengthOf(body)], NOTHING), ...parts], post(CHANGELESS))
  },
  byteByByte: (random, world) => {
    const { body, headers } = delivery(random, world)
    const whole = bytesOf("POST", PATH, [...headers, lengthOf(body)], body)
    const bytes = [...whole.subarray(0, 300)].map((byte) => Buffer.from([byte]))
    return alone("byte by byte", [...bytes, whole.subarray(300)], post(CHANGELESS))
  },
  continued: (random, world) => {
    const { body, headers } = delivery(random, world)
    const head = bytesOf("POST", PATH, [...headers, lengthOf(body), ["expect", "100-continue"]], NOTHING)
    return alone("100-continue", [head, 20, body], post(CHANGELESS))
  },
  halfClosed: (random, world) => {
    const { body, headers } = delivery(random, world)
    const whole = bytesOf("POST", PATH, [...headers, lengthOf(body)], body)
    // A server may take the end of what we say for the end of us, even before it has read what was said.
    return alone("half-closed after it", [whole, "half-close"], post([...CHANGELESS, ...BROKEN]))
  },
  oldHttp: (random, world) => {
    const { body, headers } = delivery(random, world)
    const given = random.chance(0.5) ? headers : headers.slice(1)
    return alone("HTTP/1.0", [bytesOf("POST", PATH, [...given, lengthOf(body)], body, "HTTP/1.0")], post(CHANGELESS))
  },
  pipelined: (random, world) => {
    const exchanges = Array.from({ length: random.int(2, 5) }, () => anyExchange(random, world))
    return alone(
      "pipelined",
      [Buffer.concat(exchanges.map(({ bytes }) => bytes))],
      // A server that has answered before it read a body to its end may close then.
      ...exchanges.map(({ expected }, at) => (at === 0 ? expected : orClosed(expected)))
    )
  }
}

/** Bodies that never become whole. */
const badlyFramed: Readonly<Record<string, Maker>> = {
  stalled: (random, world) => {
    const { body, headers } = delivery(random, world)
    return alone(
      "stalled",
      [bytesOf("POST", PATH, [...headers, random.pick([FOREVER, CHUNKED])], random.pick([NOTHING, chunkOf(body)]))],
      post(["408 body_unreadable"])
    )
  },
  dribbling: (random, world) => {
    const { headers } = delivery(random, world)
    const steps = Math.ceil(world.bodyTimeoutMillis / 100) + 5
    const dribble = Array.from({ length: steps }, (): Array<Piece> => [chunkOf(Buffer.from(" ")), 100]).flat()
    return alone(
      "dribbling",
      [bytesOf("POST", PATH, [...headers, CHUNKED], NOTHING), ...dribble],
      post(["408 body_unreadable"])
    )
  },
  tooShort: (random, world) => {
    const { body, headers } = delivery(random, world)
    const length = ["content-length", String(body.length + random.int(1, 500))] as const
    return alone(
      "shorter than it says",
      [bytesOf("POST", PATH, [...headers, length], body), "half-close"],
      post(BROKEN)
    )
  },
  tooLong: (random, world) => {
    const { body, headers } = delivery(random, world)
    const said = random.int(0, body.length - 1)
    const length = ["content-length", String(said)] as const
    const rest = body.subarray(said)
    return alone(
      "longer than it says",
      [bytesOf("POST", PATH, [...headers, length], body.subarray(0, said)), rest, "half-close"],
      post(["401 unauthorized", ...BROKEN]),
      post(SERVER)
    )
  },
  hangUp: (random, world) => {
    const { body, headers } = delivery(random, world)
    const part = body.subarray(0, random.int(0, body.length))
    return alone("hung up", [bytesOf("POST", PATH, [...headers, lengthOf(body)], part), random.int(0, 20), "hang up"])
  },
  badChunk: (random, world) => {
    const { headers } = delivery(random, world)
    const chunk = random.pick([
      "zz\r\n",
      "-1\r\n{}\r\n",
      "5\r\n{}\r\n0\r\n\r\n",
      "ffffffffffffffffff\r\n",
      "2;\r\n{}",
      "0\r\n\n"
    ])
    return alone(
      "bad chunk",
      [bytesOf("POST", PATH, [...headers, CHUNKED], Buffer.from(chunk)), "half-close"],
      post([...BROKEN, "401 unauthorized"])
    )
  },
  badLength: (random, world) => {
    const { body, headers } = delivery(random, world)
    const length = random.pick(["-1", "abc", "+5", "1e2", "0x10", "", "5, 6", "18446744073709551616", "9".repeat(40)])
    return alone(
      "bad Content-Length",
      [bytesOf("POST", PATH, [...headers, ["content-length", length]], body), "half-close"],
      post([...BROKEN, "401 unauthorized", "413 body_too_large"]),
      post(SERVER)
    )
  },
  twoLengths: (random, world) => {
    const { body, headers } = delivery(random, world)
    const more = random.pick([
      [lengthOf(body), ["content-length", "5"]],
      [["content-length", "0"], lengthOf(body)],
      [lengthOf(body), CHUNKED],
      [CHUNKED, lengthOf(body)],
      [["transfer-encoding", "gzip, chunked"]],
      [["transfer-encoding", "chunked, identity"]],
      [["transfer-encoding", "xchunked"], lengthOf(body)]
    ] as const)
    return alone(
      "two framings",
      [bytesOf("POST", PATH, [...headers, ...more], body), "half-close"],
      post([...BROKEN, "401 unauthorized", ...CHANGELESS]),
      post(SERVER)
    )
  }
}

const NO_HTTP = [
  "GET /\r\n\r\n",
  "POST\r\n\r\n",
  `POST ${PATH}\r\n\r\n`,
  `POST ${PATH} HTTP/9.9\r\n\r\n`,
  `POST ${PATH} HTTP/1.1 \r\n\r\n`,
  `POST  ${PATH} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `PO\u0000ST ${PATH} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH}\u0000 HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost : a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n: empty\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: a\u0000b\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n webhook-id: folded\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\nhost: a\n\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nwebhook-id: a\nset-cookie: b\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(500_000)}\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n${"x: y\r\n".repeat(2_000)}\r\n`,
  `POST /${"a".repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH}?${"a".repeat(70_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: unfinished`,
  "\r\n\r\n\r\n\r\n",
  "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
  "SSH-2.0-OpenSSH_9.6\r\n",
  "CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n",
  "{}"
]

// Answered by whoever comes to it first: what counts is that somebody does, and that nobody is told anything.
const UNSIGNED = [
  "401 unauthorized",
  "404 not_found",
  "405 method_not_allowed",
  "415 unsupported_media_type",
  ...SERVER
]

const TARGETS = [
  `http://127.0.0.1${PATH}`,
  `http://evil.example${PATH}`,
  `https://user:pass@evil.example:99999${PATH}`,
  `HTTP://[::1${PATH}`,
  `ftp://evil.example${PATH}`,
  "*",
  "evil.example:80",
  `${PATH}#fragment`,
  `\\${PATH}`,
  `${PATH}\\`,
  `//evil.example${PATH}`,
  `/.${PATH}`,
  `/x/..${PATH}`,
  `/%2e%2e${PATH}`,
  `${PATH}?\u00ff`,
  `/\u00e9${PATH}`,
  `${PATH}?<script>"'|^{}\``,
  "",
  "?",
  "javascript:alert(1)"
]

const HOSTS = [
  "",
  "a b",
  "[::1",
  "127.0.0.1:99999",
  "user@127.0.0.1",
  "-",
  "%00",
  "\u00e9.example",
  "a/b",
  "a?b",
  "a#b",
  ":",
  "x".repeat(300),
  "xn--a",
  "1.2.3.4.5",
  "256.256.256.256",
  "[::g]",
  "a\\b",
  "a..b",
  "0x7f.1"
]

/** Requests that are hardly any, or whose address is. */
const odd: Readonly<Record<string, Maker>> = {
  noHttp: (random) => alone("no HTTP", [Buffer.from(random.pick(NO_HTTP), "latin1"), "half-close"], post(UNSIGNED)),
  target: (random, world) => {
    const { body, headers } = delivery(random, world)
    const target = random.pick(TARGETS)
    const whole = bytesOf(
      random.pick(["POST", "POST", "OPTIONS", "CONNECT"]),
      target,
      [...headers, lengthOf(body)],
      body
    )
    return alone("target", [whole], post([...CHANGELESS, ...UNSIGNED]))
  },
  host: (random, world) => {
    const { body, headers } = delivery(random, world)
    const hosts = random.pick<Headers>([
      [],
      [HOST, ["host", "evil.example"]],
      ...HOSTS.map((host) => [["host", host]] as const)
    ])
    const whole = bytesOf("POST", PATH, [...hosts, ...headers.slice(1), lengthOf(body)], body)
    return alone("host", [whole], post([...CHANGELESS, "404 not_found", ...SERVER]))
  },
  upgrade: (random, world) => {
    const { body, headers } = delivery(random, world)
    const to = random.pick(["websocket", "h2c", "TLS/1.3"])
    const more: Headers = [
      ["connection", "upgrade, http2-settings"],
      ["upgrade", to],
      ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["sec-websocket-version", "13"]
    ]
    return alone(
      "upgrade",
      [bytesOf("POST", PATH, [...headers, ...more, lengthOf(body)], body)],
      post([...CHANGELESS, ...SERVER])
    )
  },
  method: (random, world) => {
    const body = anyBody(random, world).bytes
    const method = random.pick([
      "post",
      "Post",
      "POST\t",
      "G\u00e9T",
      "!#$%&'*+-.^_`|~",
      "PRI",
      "CONNECT",
      "M".repeat(20_000)
    ])
    return alone(
      "method",
      [bytesOf(method, PATH, [HOST, JSON_TYPE, lengthOf(body)], body)],
      post([...UNSIGNED, "413 body_too_large"])
    )
  }
}

const pickFrom = (random: Random, world: World, makers: Readonly<Record<string, Maker>>): Input =>
  random.pick(Object.values(makers))(random, world)

/** Anything that a well-behaved HTTP client cannot or would not send. */
export const anyConversation = (random: Random, world: World): Input =>
  pickFrom(
    random,
    world,
    { wellFramed, badlyFramed, odd }[random.weighted({ wellFramed: 45, badlyFramed: 25, odd: 30 })]
  )
