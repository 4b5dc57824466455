import type { Change, DeadLetter, Evidence, Told } from "./audit.ts"

export type ViolationKind = "lost" | "doubled" | "out of order" | "untrue" | "unexplained dead letter"

export interface Violation {
  readonly kind: ViolationKind
  readonly mentorId: string
  readonly version: number
  readonly detail: string
}

export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  /** Transitions that were committed. */
  readonly committed: number
  /** Of these, how many every coordinator was told about. */
  readonly notified: number
  /** Of these, how many nobody was told about because a dead letter's redrive came too late. */
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

interface Transition extends Change {
  readonly expected: "PAUSE" | "RESUME"
}

const isKnown = (status: string | null): status is "active" | "paused" => status === "active" || status === "paused"

/**
 * The transitions among all changes, in their order: a status is compared with the last one that was active or paused,
 * and a mentor who gets another id takes it along.
 */
const transitionsIn = (changes: ReadonlyArray<Change>): ReadonlyArray<Transition> => {
  const known = new Map<string, string | null>()
  return changes.flatMap((change): ReadonlyArray<Transition> => {
    const { isInsert, mentorId, newStatus, oldMentorId, oldStatus } = change
    if (oldMentorId !== null) known.set(mentorId, isKnown(oldStatus) ? oldStatus : (known.get(oldMentorId) ?? null))
    const before = known.has(mentorId) ? (known.get(mentorId) ?? null) : oldStatus
    if (isInsert || isKnown(newStatus)) known.set(mentorId, newStatus)
    if (isInsert || !isKnown(newStatus) || !isKnown(before) || before === newStatus) return []
    return [{ ...change, expected: newStatus === "paused" ? "PAUSE" : "RESUME" }]
  })
}

/** Rows that were inserted, or say that they were created, after one with a higher version. */
const disorders = (told: ReadonlyArray<Told>): ReadonlyArray<Violation> => {
  const byTime = told.toSorted((one, other) => one.createdAt - other.createdAt)
  return [
    { order: told, name: "inserted" },
    { order: byTime, name: "created" }
  ].flatMap(({ name, order }) =>
    order.flatMap(({ mentorId, version }, index): ReadonlyArray<Violation> => {
      const before = order[index - 1]?.version ?? 0
      if (version === null || version >= before) return []
      return [{ kind: "out of order", mentorId, version, detail: `${name} after version ${before}` }]
    })
  )
}

/** Compares what was committed for one mentor with what its coordinators were told. */
const verifyMentor = (
  mentorId: string,
  transitions: ReadonlyArray<Transition>,
  told: ReadonlyArray<Told>,
  evidence: Evidence,
  superseded: ReadonlyMap<string, DeadLetter>,
  commits: Expectation["commits"]
) => {
  const violations = [...disorders(told)]
  const say = (kind: ViolationKind, version: number, detail: string) =>
    void violations.push({ kind, mentorId, version, detail })
  const reconciled = evidence.reconciled.get(mentorId) ?? new Set()
  const coordinators = evidence.coordinators.get(mentorId) ?? new Set()
  const byVersion = groupBy(told, ({ version }) => version)
  const count = { notified: 0, superseded: 0 }
  const latencies: Array<number> = []

  if (reconciled.size > 0) {
    say("doubled", Math.max(...reconciled), "the reconciliation told what the trigger had captured")
  }

  let version = 0
  for (const change of transitions) {
    version += 1
    const rows = byVersion.get(version) ?? []
    const { expected } = change
    if (rows.length === 0 && superseded.has(`${mentorId} ${version}`)) {
      count.superseded += 1
      continue
    }
    if (new Set(rows.map(({ eventId }) => eventId)).size > 1) say("doubled", version, "two events have this version")
    for (const { transition } of rows) {
      if (transition !== expected) say("untrue", version, `told as ${transition}, but it was a ${expected}`)
    }
    const heard = groupBy(rows, ({ coordinatorId }) => coordinatorId)
    for (const coordinatorId of coordinators) {
      const times = heard.get(coordinatorId)?.length ?? 0
      if (times === 0) say("lost", version, `${expected} was never told to coordinator ${coordinatorId}`)
      if (times > 1) say("doubled", version, `${expected} was told ${times} times to coordinator ${coordinatorId}`)
    }
    const first = rows[0]
    if (first === undefined) continue
    count.notified += 1
    latencies.push(Math.max(0, first.at - (commits.get(change.transaction) ?? change.at)))
  }
  for (const known of byVersion.keys()) {
    if (known === null || known > version) {
      say("untrue", known ?? 0, "told, although no such transition was committed")
    }
  }
  return { violations, committed: transitions.length, latencies, ...count }
}

// A run is too short for the other reasons to give up.
const WHILE_OTHERS_WORKED = "failures others were completed"

const explain = (letter: DeadLetter, { maxAttempts, refused }: Expectation): boolean =>
  letter.reason === "refused"
    ? refused.has(letter.eventId)
    : letter.reason === "exhausted" && letter.failures >= maxAttempts && letter.lastError.includes(WHILE_OTHERS_WORKED)

/** The verdict over a whole run, from the database's own records and from what the harness did to it. */
export const verify = (evidence: Evidence, expectation: Expectation): Verdict => {
  const superseded = new Map(
    evidence.deadLetters
      .filter(({ resolution }) => resolution === "resolved")
      .map((letter) => [`${letter.mentorId} ${letter.version}`, letter])
  )
  const changes = groupBy(transitionsIn(evidence.changes), ({ mentorId }) => mentorId)
  const told = groupBy(evidence.told, ({ mentorId }) => mentorId)
  const mentorIds = new Set([...changes.keys(), ...told.keys()])
  const mentors = [...mentorIds].map((id) =>
    verifyMentor(id, changes.get(id) ?? [], told.get(id) ?? [], evidence, superseded, expectation.commits)
  )
  const unexplained = evidence.deadLetters
    .filter((letter) => !explain(letter, expectation))
    .map(({ eventId, failures, lastError, mentorId, reason, version }): Violation => ({
      kind: "unexplained dead letter",
      mentorId,
      version,
      detail: `event ${eventId}: ${reason} after ${failures} failures: ${lastError}`
    }))
  const sum = (of: (mentor: (typeof mentors)[number]) => number) => mentors.reduce((all, each) => all + of(each), 0)
  return {
    violations: [...mentors.flatMap(({ violations }) => violations), ...unexplained],
    committed: sum(({ committed }) => committed),
    notified: sum(({ notified }) => notified),
    superseded: sum((mentor) => mentor.superseded),
    latencies: mentors.flatMap(({ latencies }) => latencies).toSorted((one, other) => one - other)
  }
}
