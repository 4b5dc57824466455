import { createHmac } from "node:crypto"
import type { Random } from "../../chaos/random.ts"

export type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** The headers that vouch for a body, or do not. */
export interface Signature {
  readonly kind: string
  readonly headers: Headers
  /** What it is answered with; absent when it is accepted. */
  readonly refusal?: string
  /** Absent when it comes in more than one header, or holds what comes back in another spelling. */
  readonly id?: string
}

const OTHER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
const now = (): number => Math.floor(Date.now() / 1000)

const mac = (secret: string, signed: string, body: Buffer): string =>
  `v1,${createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
    .update(signed)
    .update(body)
    .digest("base64")}`

const headersOf = (id: string, timestamp: string, signature: string): Headers => [
  ["webhook-id", id],
  ["webhook-timestamp", timestamp],
  ["webhook-signature", signature]
]

/** What the outbox would send along. */
export const signed = (secret: string, body: Buffer, id: string, timestamp = String(now())): Headers =>
  headersOf(id, timestamp, mac(secret, `${id}.${timestamp}.`, body))

const good = (random: Random, secret: string, body: Buffer): Signature => {
  const id = random.chance(0.7)
    ? random.uuid()
    : random.pick([
        "a",
        "msg_2b.3c.4d",
        "0".repeat(256),
        "with spaces inside",
        "a,b;c=d",
        "{}",
        "%0d%0a",
        "../..",
        "__proto__"
      ])
  const timestamp = String(now() + random.pick([0, 0, 0, 0, 250, -250, 1]))
  const right = mac(secret, `${id}.${timestamp}.`, body)
  const wrong = mac(OTHER_SECRET, `${id}.${timestamp}.`, body)
  const signature = random.pick([
    right,
    right,
    right,
    `${wrong} ${right}`,
    `${right} ${wrong}`,
    `v1a,${CANONICAL} v2,!! ${right}`,
    [...Array.from({ length: 7 }, () => wrong), right].join(" ")
  ])
  return { kind: "signed", headers: headersOf(id, timestamp, signature), id }
}

const CANONICAL = Buffer.alloc(32).toString("base64")

const bad = (random: Random, secret: string, body: Buffer): Signature => {
  const id = random.uuid()
  const timestamp = String(now())
  const right = mac(secret, `${id}.${timestamp}.`, body)
  const refused = (kind: string, ...headers: Headers): Signature => ({ kind, headers, refusal: "401 unauthorized" })
  const resigned = (otherTimestamp: string) =>
    headersOf(id, otherTimestamp, mac(secret, `${id}.${otherTimestamp}.`, body))
  const withSignature = (signature: string) => headersOf(id, timestamp, signature)
  return random.pick<() => Signature>([
    () => refused("unsigned"),
    () => refused("another secret", ...signed(OTHER_SECRET, body, id)),
    () => refused("another body", ...signed(secret, Buffer.concat([body, Buffer.from(" ")]), id)),
    () => refused("another id", ...signed(secret, body, id).with(0, ["webhook-id", random.uuid()])),
    () => ({
      kind: "stale",
      headers: resigned(String(now() + random.pick([-310, 310, -86_400, 1e9]))),
      refusal: "401 stale_signature"
    }),
    () =>
      refused(
        "no time",
        ...resigned(random.pick(["soon", "", "1e9", "0x6ab", "-1", "+1", "1.5", "9".repeat(13), `${now()}000`, "NaN"]))
      ),
    () =>
      refused("no signature", ...withSignature(random.pick(["", "v1", "v1,", "v1,!!", "v1,=", ",", right.slice(3)]))),
    () =>
      refused("unknown version", ...withSignature(right.replace("v1,", random.pick(["v2,", "v1a,", "V1,", "v1;"])))),
    () => refused("half a signature", ...withSignature(right.slice(0, random.int(4, right.length - 2)))),
    () => refused("ninth", ...withSignature([...Array.from({ length: 8 }, () => `v1,${CANONICAL}`), right].join(" "))),
    () => refused("a part missing", ...withSignature(right).toSpliced(random.int(0, 2), 1)),
    () => refused("id twice", ["webhook-id", id], ...withSignature(right)),
    () => refused("id too long", ...signed(secret, body, "i".repeat(257))),
    () => refused("hex scheme", ["x-webhook-signature", "00".repeat(32)], ["x-webhook-timestamp", timestamp]),
    () => refused("static scheme", ["x-webhook-secret", secret]),
    () => refused("credentials", ["authorization", `Bearer ${secret}`], ["apikey", secret]),
    () => refused("long signature", ...withSignature(`v1,${"A".repeat(random.pick([100, 4_000, 8_000]))}`)),
    () => refused("Latin-1", ...headersOf("i\u00ffd", timestamp, right))
  ])()
}

/** Mostly what is accepted, so that the body counts. */
export const anySignature = (random: Random, secret: string, body: Buffer): Signature =>
  (random.chance(0.78) ? good : bad)(random, secret, body)
