import type { Random } from "../../chaos/random.ts"
import { CANARY, type World } from "./Input.ts"

/** A payload as text, and what a signed delivery of it is answered with. */
export interface Payload {
  readonly text: string
  readonly words: ReadonlyArray<string>
  readonly eventId?: string
}

/** A JSON object as its members' texts, so that a key may come twice and a value be no legal JSON value of ours. */
type Members = Array<readonly [key: string, text: string]>

const quoted = JSON.stringify
const objectOf = (members: Members): string => `{${members.map(([key, text]) => `${quoted(key)}: ${text}`).join(", ")}}`

const NOT_TEXT = ["null", "42", "true", "[]", "{}", "1e400", `["${CANARY}"]`, '{"toString": "active"}']
const WORDS = ["", CANARY, "\u0000", "\uFEFF", "' or 1=1; drop table public.notifications; --", "$1", "__proto__"]
const NO_STATUS = NOT_TEXT
const NO_UUID = [
  ...NOT_TEXT,
  ...WORDS.map((word) => quoted(word)),
  quoted("3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5"),
  quoted("{3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b}"),
  quoted("3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b\n"),
  quoted(" 3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b"),
  quoted("3f2b8c1e5a474d0b9c6e7a1d2e3f4a5b"),
  quoted("3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5g")
]
const NO_KEY = [...NOT_TEXT, '""', quoted("x".repeat(201)), quoted("a\nb"), quoted("\u0000"), quoted("\ud83c")]
const NO_WORD = [...NOT_TEXT, ...WORDS.map((word) => quoted(word))]
const NO_OBJECT = ["null", "42", "true", quoted(CANARY), "[]", `[{"status": "active"}]`, "{}"]
const NO_VERSION = ["0", "-1", "1.5", "1e400", "-0", '"1"', "null", "9007199254740992", "true", "{}", "[1]"]
const NO_TIME = [
  ...NO_WORD,
  quoted("2026-11-22"),
  quoted("22.11.2026 09:30"),
  quoted("2026-11-22T09:30:00.1234567890Z"),
  quoted("2026-11-22T09:30:00Z\n"),
  quoted("26-11-22T09:30:00Z"),
  "1790000000"
]
const NO_FORCE = ['"true"', "1", "null", "{}"]

const TIMES = ["2026-11-22T09:30:00.123456Z", "2026-11-22 09:30:00.123457+00", "2026-11-22T09:30:00"]
// No calendar has them; but a time only identifies an event, so that it is told of all the same.
const IMPOSSIBLE_TIMES = [
  "2026-13-45T99:99:99Z",
  "2026-02-30T00:00:00Z",
  "2026-11-22T25:00:00Z",
  "0000-00-00T00:00:00Z"
]
const ODD_STATUSES = [
  "retired",
  "Paused",
  " active",
  "active ",
  "",
  "actıve",
  "\u0000",
  "\uFFFF",
  CANARY,
  "x".repeat(5000)
]
const ODD_VALUES = [
  "null",
  "1e400",
  "-1e400",
  "123456789012345678901234567890.5",
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '{"__proto__": {"status": "paused", "isAdmin": true}}',
  '{"constructor": {"prototype": {"type": "UPDATE"}}}',
  "[".repeat(2_000) + "]".repeat(2_000),
  '{"a":'.repeat(2_000) + "1" + "}".repeat(2_000),
  quoted("é𝕏\u202E🌱".repeat(50))
]
const ODD_KEYS = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "",
  "then",
  "status ",
  "STATUS",
  "\u0000",
  "user_id"
]

const set = (members: Members, key: string, text: string): Members =>
  members.map((member) => (member[0] === key ? [key, text] : member))
const without = (members: Members, key: string): Members => members.filter(([name]) => name !== key)

const oddMembers = (random: Random, most: number): Members =>
  Array.from({ length: random.int(0, most) }, () => [random.pick(ODD_KEYS), random.pick(ODD_VALUES)])

interface Draft {
  root: Members
  record: Members
  old: Members
}

const uuidText = (random: Random, uuid: string): string => quoted(random.chance(0.2) ? uuid.toUpperCase() : uuid)

/** A change of a mentor who would be told of, if it were let through. */
const change = (random: Random, { mentorIds }: World, [from, to]: readonly [string, string]): Draft => {
  const id = uuidText(random, random.pick(mentorIds))
  return {
    root: [
      ["type", '"UPDATE"'],
      ["table", '"peer_mentor_profiles"'],
      ["schema", '"public"'],
      ["timestamp", quoted(random.pick(TIMES))],
      ...(random.chance(0.5) ? [["version", String(random.int(1, 9))] as const] : [])
    ],
    record: [
      ["id", id],
      ["status", quoted(to)]
    ],
    old: [
      ["id", id],
      ["status", quoted(from)]
    ]
  }
}

const assemble = (random: Random, { old, record, root }: Draft): string => {
  const members: Members = [
    ...root,
    ...(root.some(([key]) => key === "record") ? [] : [["record", objectOf(record)] as const]),
    ...(root.some(([key]) => key === "old_record") ? [] : [["old_record", objectOf(old)] as const])
  ]
  // Among duplicates the last one counts; it stays last.
  const keys = new Set(members.map(([key]) => key))
  return objectOf(random.shuffled([...keys]).flatMap((key) => members.filter(([name]) => name === key)))
}

/** What a payload may hold besides what we read, none of which changes what it means. */
const decorate = (random: Random, draft: Draft): Draft => {
  const decoy = (members: Members): Members =>
    random.chance(0.2) ? members.flatMap((member) => [[member[0], random.pick(ODD_VALUES)], member]) : members
  return {
    root: [...oddMembers(random, 2), ...decoy(draft.root)],
    record: [...oddMembers(random, 3), ...decoy(draft.record)],
    old: [...oddMembers(random, 2), ...decoy(draft.old)]
  }
}

const DIRECTIONS = [
  ["active", "paused"],
  ["paused", "active"]
] as const

/** A valid payload that notifies nobody. */
export const harmless = (random: Random, world: World): Payload => {
  const status = random.pick(["active", "paused"])
  const odd = random.pick(ODD_STATUSES)
  const statuses = random.pick([
    [status, status],
    [status, odd],
    [odd, status],
    [odd, random.pick(ODD_STATUSES)]
  ] as const)
  const draft = decorate(random, change(random, world, statuses))
  if (random.chance(0.2)) {
    draft.root = [...set(draft.root, "type", '"INSERT"'), ["old_record", "null"]]
  }
  // A payload with a topic need not name the table.
  if (random.chance(0.2)) {
    draft.root = [...without(without(draft.root, "table"), "schema"), ["topic", '"pause-status"']]
  }
  return { text: assemble(random, draft), words: ["200 no_change"] }
}

type Spoiler = (draft: Draft, random: Random) => void

const wrongAt =
  (part: keyof Draft, key: string, values: ReadonlyArray<string>, required: boolean): Spoiler =>
  (draft, random) => {
    const rest = required && random.chance(0.2) ? [] : [[key, random.pick(values)] as const]
    // Sometimes the right one comes first and the wrong one, which counts, last.
    const kept = rest.length > 0 && random.chance(0.2) ? draft[part] : without(draft[part], key)
    draft[part] = [...kept, ...rest]
  }

/** Each makes a payload wrong, whatever else it holds. */
const SPOILERS: ReadonlyArray<Spoiler> = [
  wrongAt("root", "topic", [...NO_WORD, '"order-created"', '"Pause-Status"'], false),
  wrongAt("root", "type", [...NO_WORD, '"DELETE"', '"TRUNCATE"', '"update"'], true),
  wrongAt("root", "table", [...NO_WORD, '"coordinators"', '"PEER_MENTOR_PROFILES"'], true),
  wrongAt("root", "schema", [...NO_WORD, '"private"', '"outbox"'], true),
  wrongAt("root", "record", NO_OBJECT, false),
  wrongAt("root", "old_record", NO_OBJECT, false),
  wrongAt("root", "event_id", NO_UUID, false),
  wrongAt("root", "version", NO_VERSION, false),
  wrongAt("root", "timestamp", NO_TIME, false),
  wrongAt("root", "force", NO_FORCE, false),
  wrongAt("record", "id", NO_KEY, true),
  wrongAt("record", "status", NO_STATUS, true),
  wrongAt("old", "status", NO_STATUS, true)
]

/** A pause or resume that would be told of, but for what is wrong with it. */
export const wrong = (random: Random, world: World): Payload => {
  const draft = decorate(random, change(random, world, random.pick(DIRECTIONS)))
  for (const spoil of random.sample(SPOILERS, random.int(1, 3))) spoil(draft, random)
  return { text: assemble(random, draft), words: ["400 invalid_payload"] }
}

/** A pause that says nowhere when it was. */
export const timeless = (random: Random, world: World): Payload => {
  const draft = change(random, world, random.pick(DIRECTIONS))
  draft.root = without(draft.root, "timestamp")
  if (random.chance(0.8)) draft.record.push(["updated_at", random.pick(NO_TIME)])
  return { text: assemble(random, decorate(random, draft)), words: ["400 no_event_time"] }
}

/** A pause that is to be told of, written as oddly as JSON allows. Without a version, which says it is the outbox's. */
export const genuine = (random: Random, eventId: string, mentorId: string): string => {
  const id = uuidText(random, mentorId)
  const draft = decorate(random, {
    root: [
      ["type", '"UPDATE"'],
      ["table", '"peer_mentor_profiles"'],
      ["schema", '"public"'],
      ["timestamp", quoted(random.pick([...TIMES, ...IMPOSSIBLE_TIMES]))],
      ["event_id", uuidText(random, eventId)]
    ],
    record: [
      ["id", id],
      ["status", '"paus\\u0065d"'.replace("\\u0065", random.chance(0.5) ? "\\u0065" : "e")]
    ],
    old: [["status", '"active"']]
  })
  return assemble(random, draft)
}
