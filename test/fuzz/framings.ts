import type { Random } from "../../chaos/random.ts"
import { alone, CHANGELESS, delivery, type Maker, post, SERVER } from "./alone.ts"
import type { Expected, Piece } from "./Input.ts"
import { harmless } from "./payloads.ts"
import { anyExchange, bytesOf, HOST, JSON_TYPE, lengthOf, PATH } from "./requests.ts"
import { signed } from "./signatures.ts"

const BROKEN = ["408 body_unreadable", ...SERVER]

const orClosed = (expected: Expected): Expected => ({ ...expected, words: [...expected.words, "closed"] })

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

/** Bodies whose framing is unusual but right: the answer is that of any body. */
export const wellFramed: Readonly<Record<string, Maker>> = {
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
export const badlyFramed: Readonly<Record<string, Maker>> = {
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
    // A byte that crosses the reply resets the connection, and may take the reply along.
    return alone(
      "dribbling",
      [bytesOf("POST", PATH, [...headers, CHUNKED], NOTHING), ...dribble],
      post(["408 body_unreadable", "closed"])
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
    // Never all of it, which might be answered before we are gone.
    const part = body.subarray(0, random.int(0, body.length - 1))
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
