import { gzipSync } from "node:zlib"
import type { Random } from "../../chaos/random.ts"
import type { World } from "./Input.ts"
import { harmless, type Payload, timeless, wrong } from "./payloads.ts"

/** The bytes of a body, and what a signed delivery of them is answered with. */
export interface Body {
  readonly kind: string
  readonly bytes: Buffer
  readonly words: ReadonlyArray<string>
  readonly items?: ReadonlyArray<ReadonlyArray<string>>
}

const MALFORMED = ["400 malformed_json"]
const INVALID = ["400 invalid_payload"]

const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth)

const NO_JSON = [
  "",
  " ",
  "\n\t\r ",
  "{",
  "}",
  '{"type": "UPDATE",}',
  "{'type': 'UPDATE'}",
  "{type: 1}",
  "[1,]",
  "NaN",
  "-Infinity",
  "undefined",
  "0x10",
  "01",
  "+1",
  ".5",
  "1.",
  "// a comment\n{}",
  "{} {}",
  "{}]",
  '"a\nb"',
  '"\\x41"',
  '"\\u00g0"',
  "\u0000",
  "{}\u0000",
  "\uFEFF\uFEFF{}",
  "\u00A0{}",
  "\u2028{}",
  "<xml/>",
  "type=UPDATE&table=peer_mentor_profiles",
  "[".repeat(100_000),
  '{"a":'.repeat(40_000),
  nested("[", "]", 100_000).slice(0, -1)
]

const NOT_UTF8 = [
  [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00],
  [0x22, 0xc0, 0xaf, 0x22],
  [0x22, 0xed, 0xa0, 0x80, 0x22],
  [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
  [0x22, 0xe2, 0x82, 0x22],
  [0x22, 0x80, 0x22],
  [0x7b, 0xff, 0x7d]
].map((bytes) => Buffer.from(bytes))

const NO_PAYLOAD = [
  "null",
  "true",
  "0",
  "-0",
  "1e400",
  '"paused"',
  '"\\ud800"',
  "{}",
  '{"a":'.repeat(30_000) + "1" + "}".repeat(30_000),
  '{"__proto__": {"type": "UPDATE", "table": "peer_mentor_profiles", "schema": "public"}}',
  '{"constructor": {"prototype": {"type": "INSERT"}}}',
  '{"type": "__proto__"}',
  '{"type": ["UPDATE"]}',
  '{"": null}',
  "[]"
]

const fromPayload = (kind: string, { text, words }: Payload): Body => ({ kind, bytes: Buffer.from(text), words })

const batch = (random: Random, world: World): Body => {
  const payloads = Array.from({ length: random.pick([1, 2, 3, 10, 60]) }, (): Payload =>
    random.weighted({ harmless: 1, wrong: 1, junk: 1 }) === "junk"
      ? { text: random.pick(NO_PAYLOAD), words: INVALID }
      : random.pick([harmless, wrong])(random, world)
  )
  const bytes = Buffer.from(`[${payloads.map(({ text }) => text).join(",")}]`)
  if (bytes.length > world.maxBodyBytes) return fromPayload("harmless", harmless(random, world))
  return { kind: "batch", bytes, words: ["200 batch"], items: payloads.map(({ words }) => words) }
}

const ends = (random: Random, bytes: Buffer): Buffer => bytes.subarray(0, random.int(0, bytes.length - 1))

const mangled = (random: Random, world: World): Body => {
  const { text } = harmless(random, world)
  const bytes = Buffer.from(text)
  for (let turn = random.int(1, 4); turn > 0; turn--) bytes[random.int(0, bytes.length - 1)] = random.int(0, 255)
  return { kind: "mangled", bytes, words: ["200 no_change", ...MALFORMED, ...INVALID] }
}

const padded = (random: Random, { maxBodyBytes, ...world }: World): Body => {
  const text = harmless(random, { ...world, maxBodyBytes }).text
  const surplus = random.pick([0, 0, 1, 1, 2, 4_096])
  const bytes = Buffer.from(text.padEnd(text.length + maxBodyBytes - Buffer.byteLength(text) + surplus, " \n"))
  return { kind: "large", bytes, words: surplus === 0 ? ["200 no_change"] : ["413 body_too_large"] }
}

const MAKERS = {
  harmless: (random: Random, world: World) => fromPayload("harmless", harmless(random, world)),
  wrong: (random: Random, world: World) => fromPayload("wrong", wrong(random, world)),
  timeless: (random: Random, world: World) => fromPayload("timeless", timeless(random, world)),
  batch,
  mangled,
  truncated: (random: Random, world: World): Body => ({
    kind: "truncated",
    bytes: ends(random, Buffer.from(harmless(random, world).text)),
    words: MALFORMED
  }),
  marked: (random: Random, world: World): Body => {
    const { text, words } = random.pick([harmless, wrong])(random, world)
    return { kind: "byte order mark", bytes: Buffer.from(`\uFEFF${text}`), words }
  },
  noJson: (random: Random): Body => ({ kind: "no JSON", bytes: Buffer.from(random.pick(NO_JSON)), words: MALFORMED }),
  notUtf8: (random: Random): Body => ({ kind: "no UTF-8", bytes: random.pick(NOT_UTF8), words: MALFORMED }),
  noPayload: (random: Random): Body => ({
    kind: "no payload",
    bytes: Buffer.from(random.pick(NO_PAYLOAD)),
    words: INVALID
  }),
  deepArray: (random: Random): Body => ({
    kind: "deep array",
    bytes: Buffer.from(nested("[", "]", random.pick([2, 100, 10_000, 100_000]))),
    words: ["200 batch"],
    items: [INVALID]
  }),
  tooMany: (random: Random): Body => ({
    kind: "too many",
    bytes: Buffer.from(`[${Array.from({ length: random.pick([201, 1_000]) }, () => "0").join(",")}]`),
    words: INVALID
  }),
  zipped: (random: Random, world: World): Body => ({
    kind: "zipped",
    bytes: gzipSync(harmless(random, world).text),
    words: MALFORMED
  }),
  noise: (random: Random): Body => ({
    kind: "noise",
    bytes: random.bytes(random.int(1, 400)),
    words: [...MALFORMED, ...INVALID]
  }),
  padded
} satisfies Record<string, (random: Random, world: World) => Body>

const WEIGHTS: Readonly<Record<keyof typeof MAKERS, number>> = {
  harmless: 22,
  wrong: 34,
  timeless: 2,
  batch: 10,
  mangled: 10,
  truncated: 4,
  marked: 1,
  noJson: 6,
  notUtf8: 2,
  noPayload: 5,
  deepArray: 0.3,
  tooMany: 0.5,
  zipped: 0.5,
  noise: 2,
  padded: 0.7
}

/** Any body that must tell nobody anything. */
export const anyBody = (random: Random, world: World): Body => MAKERS[random.weighted(WEIGHTS)](random, world)
