import type { DeadLetter, Evidence, Told, Transition } from "./audit.ts"
import type { TopicName } from "./calls.ts"

export type ViolationKind = "lost" | "doubled" | "out of order" | "untrue" | "unexplained dead letter"

export interface Violation {
  readonly kind: ViolationKind
  readonly topic: TopicName
  readonly key: string
  readonly version: number
  readonly detail: string
}

/** The verdict on one topic. */
export interface Verdict {
  readonly topic: TopicName
  readonly violations: ReadonlyArray<Violation>
  /** How many transitions were committed. */
  readonly committed: number
  /** How many of these every listener was notified of. */
  readonly notified: number
  /** How many of these nobody was notified of, because the redrive of a dead letter came too late. */
  readonly superseded: number
  readonly latencies: ReadonlyArray<number>
}

export interface Expectation {
  readonly refused: ReadonlySet<string>
  readonly maxAttempts: number
  readonly commits: ReadonlyMap<string, number>
}

const groupBy = <A, Key>(items: ReadonlyArray<A>, keyOf: (item: A) => Key): ReadonlyMap<Key, ReadonlyArray<A>> => {
  const groups = new Map<Key, Array<A>>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/** Rows that were inserted, or have a created_at, after one with a higher version. */
const disorders = (topic: TopicName, told: ReadonlyArray<Told>): ReadonlyArray<Violation> => {
  const byTime = told.toSorted((one, other) => one.createdAt - other.createdAt)
  return [
    { order: told, name: "inserted" },
    { order: byTime, name: "created" }
  ].flatMap(({ name, order }) =>
    order.flatMap(({ key, version }, index): ReadonlyArray<Violation> => {
      const before = order[index - 1]?.version ?? 0
      if (version === null || version >= before) return []
      return [{ kind: "out of order", topic, key, version, detail: `${name} after version ${before}` }]
    })
  )
}

/** Compares what was committed for one key with what its listeners were notified of. */
const verifyKey = (
  key: string,
  transitions: ReadonlyArray<Transition>,
  told: ReadonlyArray<Told>,
  evidence: Evidence,
  superseded: ReadonlyMap<string, DeadLetter>,
  commits: Expectation["commits"]
) => {
  const { topic } = evidence
  // A forced redrive is late on purpose.
  const inTurn = told.filter(({ eventId }) => evidence.forced?.has(eventId) !== true)
  const violations = [...disorders(topic, inTurn)]
  const say = (kind: ViolationKind, version: number, detail: string) =>
    void violations.push({ kind, topic, key, version, detail })
  const reconciled = evidence.reconciled.get(key) ?? new Set()
  const byVersion = groupBy(told, ({ version }) => version)
  const count = { notified: 0, superseded: 0 }
  const latencies: Array<number> = []

  if (reconciled.size > 0) {
    say("doubled", Math.max(...reconciled), "the reconciliation sent what the trigger had captured")
  }

  let version = 0
  for (const change of transitions) {
    version += 1
    const rows = byVersion.get(version) ?? []
    const { expected } = change
    if (rows.length === 0 && superseded.has(`${key} ${version}`)) {
      count.superseded += 1
      continue
    }
    if (new Set(rows.map(({ eventId }) => eventId)).size > 1) say("doubled", version, "two events have this version")
    for (const { said } of rows) {
      if (said !== expected) say("untrue", version, `notified as ${said}, but it was ${expected}`)
    }
    const heard = groupBy(rows, ({ listener }) => listener)
    for (const listener of evidence.listenersOf(key)) {
      const times = heard.get(listener)?.length ?? 0
      if (times === 0) say("lost", version, `${listener} was never notified of ${expected}`)
      if (times > 1) say("doubled", version, `${listener} was notified of ${expected} ${times} times`)
    }
    const first = rows[0]
    if (first === undefined) continue
    count.notified += 1
    latencies.push(Math.max(0, first.at - (commits.get(change.transaction) ?? change.at)))
  }
  for (const known of byVersion.keys()) {
    if (known === null || known > version) {
      say("untrue", known ?? 0, "notified, but no such transition was committed")
    }
  }
  return { violations, committed: transitions.length, latencies, ...count }
}

// A run is too short for any other reason to give up.
const WHILE_OTHERS_WORKED = "failures others were completed"

const explain = (letter: DeadLetter, { maxAttempts, refused }: Expectation): boolean =>
  letter.reason === "refused"
    ? refused.has(letter.eventId) || refused.has(letter.key)
    : letter.reason === "exhausted" && letter.failures >= maxAttempts && letter.lastError.includes(WHILE_OTHERS_WORKED)

/** The verdict on one topic, from the harness's records in the database and from what it injected. */
export const verify = (evidence: Evidence, expectation: Expectation): Verdict => {
  const superseded = new Map(
    evidence.deadLetters
      .filter(({ resolution }) => resolution === "resolved")
      .map((letter) => [`${letter.key} ${letter.version}`, letter])
  )
  const transitions = groupBy(evidence.transitions, ({ key }) => key)
  const told = groupBy(evidence.told, ({ key }) => key)
  const keys = new Set([...transitions.keys(), ...told.keys()])
  const found = [...keys].map((key) =>
    verifyKey(key, transitions.get(key) ?? [], told.get(key) ?? [], evidence, superseded, expectation.commits)
  )
  const unexplained = evidence.deadLetters
    .filter((letter) => !explain(letter, expectation))
    .map(({ eventId, failures, key, lastError, reason, version }): Violation => ({
      kind: "unexplained dead letter",
      topic: evidence.topic,
      key,
      version,
      detail: `event ${eventId}: ${reason} after ${failures} failures: ${lastError}`
    }))
  const sum = (of: (one: (typeof found)[number]) => number) => found.reduce((all, each) => all + of(each), 0)
  return {
    topic: evidence.topic,
    violations: [...found.flatMap(({ violations }) => violations), ...unexplained],
    committed: sum(({ committed }) => committed),
    notified: sum(({ notified }) => notified),
    superseded: sum(({ superseded }) => superseded),
    latencies: found.flatMap(({ latencies }) => latencies).toSorted((one, other) => one - other)
  }
}
