import type { Random } from "./random.ts"

/** The mentors and orders that exist before the load begins. */
export interface World {
  readonly coordinators: ReadonlyArray<string>
  readonly mentors: ReadonlyArray<NewMentor>
  /** Mentors that are always active or paused. */
  readonly plain: ReadonlyArray<string>
  /** Mentors whose status is also set to the project's own words. */
  readonly worded: ReadonlyArray<string>
  /** Mentors that change more often than others, so that their events queue up. */
  readonly busy: ReadonlyArray<string>
  /** Orders, of the second topic. */
  readonly orders: ReadonlyArray<number>
}

export interface NewMentor {
  readonly id: string
  readonly status: "active" | "paused"
  readonly coordinators: ReadonlyArray<string>
}

/** An order reaches this stage. */
export interface Move {
  readonly order: number
  readonly stage: string | null
}

/** One operation of a writer. A flip pauses an active mentor, and makes any other active. */
export type Operation =
  | { readonly kind: "flip" | "serializable" | "unchanged" | "touch"; readonly mentor: string }
  | { readonly kind: "word"; readonly mentor: string; readonly word: string }
  | { readonly kind: "insert"; readonly mentor: NewMentor; readonly flips: number }
  | {
      readonly kind: "transaction" | "rollback" | "savepoint"
      readonly mentors: ReadonlyArray<string>
      /** Orders that are moved in the same transaction. */
      readonly moves: ReadonlyArray<Move>
      readonly pauseSeconds: number
    }
  | { readonly kind: "rekey"; readonly mentor: NewMentor; readonly newId: string }
  | { readonly kind: "bulk"; readonly mentors: ReadonlyArray<string> }
  | { readonly kind: "move" | "upsert" | "replace" | "note"; readonly move: Move }
  | { readonly kind: "order"; readonly stages: ReadonlyArray<Move["stage"]> }
  | { readonly kind: "bulk move"; readonly orders: ReadonlyArray<number>; readonly stage: Move["stage"] }

const WORDED_SHARE = 0.1
const BUSY_SHARE = 0.05
const FEW_BUSY_ORDERS = 5
// Some are hard to write as JSON, to sign and to record.
const STAGES = ["new", "picked", "sent", 'back "again"', "zurück 📦", null] as const
const WORDS = ["vacation", "retired", "Paused", "", "on leave"] as const

const newMentor = (random: Random, coordinators: ReadonlyArray<string>): NewMentor => ({
  id: random.uuid(),
  status: random.pick(["active", "paused"]),
  coordinators: random.sample(coordinators, random.int(1, 3))
})

export const planWorld = (random: Random, mentorCount: number): World => {
  const coordinators = Array.from({ length: 7 }, () => random.uuid())
  const mentors = Array.from({ length: mentorCount }, () => newMentor(random, coordinators))
  const ids = mentors.map(({ id }) => id)
  const wordedCount = Math.floor(mentorCount * WORDED_SHARE)
  const plain = ids.slice(wordedCount)
  return {
    coordinators,
    mentors,
    plain,
    worded: ids.slice(0, wordedCount),
    busy: plain.slice(0, Math.max(1, Math.ceil(mentorCount * BUSY_SHARE))),
    // As many as mentors, with the ids that their table assigns.
    orders: Array.from({ length: mentorCount }, (_, index) => index + 1)
  }
}

const WEIGHTS = {
  flip: 45,
  serializable: 10,
  unchanged: 6,
  touch: 4,
  word: 5,
  insert: 2,
  transaction: 14,
  rollback: 5,
  savepoint: 4,
  rekey: 2,
  bulk: 2,
  move: 60,
  upsert: 5,
  replace: 3,
  note: 3,
  order: 5,
  "bulk move": 2
} as const

/** What a transaction keeps after it returns to its savepoint. */
export const firstHalf = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> => items.slice(0, Math.ceil(items.length / 2))

/** The transitions that an operation should commit. */
export const changesOf = (operation: Operation): number => {
  switch (operation.kind) {
    case "flip":
    case "serializable":
    case "rekey":
    case "move":
    case "upsert":
    case "replace":
      return 1
    case "order":
      return operation.stages.length
    case "bulk move":
      return operation.orders.length
    case "insert":
      return operation.flips
    case "transaction":
      return operation.mentors.length + operation.moves.length
    case "bulk":
      return operation.mentors.length
    case "savepoint":
      return firstHalf(operation.mentors).length + firstHalf(operation.moves).length
    default:
      return 0
  }
}

/** A writer's operations, endlessly. It never reads the database, so only the seed decides them. */
export const planOperations = function* (random: Random, world: World, largestBulk: number): Generator<Operation> {
  const anyone = (): string => {
    if (random.chance(0.1)) return random.pick(world.busy)
    return random.chance(0.05) && world.worded.length > 0 ? random.pick(world.worded) : random.pick(world.plain)
  }
  const anyOrder = (): number => random.pick(random.chance(0.1) ? world.orders.slice(0, FEW_BUSY_ORDERS) : world.orders)
  const anyMove = (): Move => ({ order: anyOrder(), stage: random.pick(STAGES) })
  const someMoves = (): ReadonlyArray<Move> =>
    Array.from({ length: random.int(1, 4) }, anyMove).toSorted((one, other) => one.order - other.order)

  for (;;) {
    const kind = random.weighted(WEIGHTS)
    switch (kind) {
      case "flip":
      case "serializable":
      case "unchanged":
      case "touch":
        yield { kind, mentor: anyone() }
        break
      case "word":
        if (world.worded.length > 0) yield { kind, mentor: random.pick(world.worded), word: random.pick(WORDS) }
        break
      case "rekey":
        yield { kind, mentor: newMentor(random, world.coordinators), newId: random.uuid() }
        break
      case "insert":
        yield { kind, mentor: newMentor(random, world.coordinators), flips: random.int(0, 3) }
        break
      case "transaction":
      case "rollback":
      case "savepoint": {
        const several = Array.from({ length: random.int(2, 6) }, anyone)
        // Often the same mentor more than once, so that a transaction has a pause and a resume.
        const mentors = random.chance(0.3) ? several.map(() => several[0] ?? anyone()) : several.toSorted()
        const moves = random.chance(0.5) ? someMoves() : []
        yield { kind, mentors, moves, pauseSeconds: random.chance(0.2) ? random.int(10, 120) / 1_000 : 0 }
        break
      }
      case "bulk":
        yield { kind, mentors: random.sample(world.plain, random.int(2, largestBulk)).toSorted() }
        break
      case "move":
      case "upsert":
      case "replace":
      case "note":
        yield { kind, move: anyMove() }
        break
      case "order":
        yield { kind, stages: Array.from({ length: random.int(1, 3) }, () => random.pick(STAGES)) }
        break
      case "bulk move":
        yield { kind, orders: random.sample(world.orders, random.int(2, largestBulk)), stage: random.pick(STAGES) }
        break
    }
  }
}
