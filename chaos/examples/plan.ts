import type { Random } from "../random.ts"

/** The rows that exist before the load begins. */
export interface ExampleWorld {
  readonly mentors: ReadonlyArray<string>
  readonly items: ReadonlyArray<string>
  readonly opportunities: ReadonlyArray<string>
}

/** A change of one row. */
export type Change =
  | { readonly kind: "flip"; readonly mentor: string }
  | { readonly kind: "order"; readonly id: string; readonly lines: number }
  | { readonly kind: "stock"; readonly item: string; readonly quantity: string }
  | { readonly kind: "deal"; readonly opportunity: string; readonly stage: string; readonly amount: string }

/** One operation of a writer. */
export type ExampleOperation =
  | Change
  | {
      readonly kind: "transaction" | "rollback"
      readonly changes: ReadonlyArray<Change>
      readonly pauseSeconds: number
    }
  | { readonly kind: "bulk stock"; readonly items: ReadonlyArray<string>; readonly quantity: string }

/** Below it, an item is reordered. */
export const REORDER_THRESHOLD = "10"

const STAGES = ["prospecting", "qualification", "proposal", "negotiation", "closed_won", "closed_lost"] as const
// One has more digits than a float can hold.
const AMOUNTS = ["0", "0.10", "199.99", "90071992547409930.10"] as const
// On both sides of the threshold, at it, and zero.
const QUANTITIES = ["0", "3", "9.5", "10", "25"] as const

const CHANGES = { flip: 20, order: 18, stock: 40, deal: 30 } as const
const OPERATIONS = { ...CHANGES, transaction: 8, rollback: 4, "bulk stock": 1 } as const
const MOST_AT_ONCE = 50

// A pause or a resume is one event, plus one per coordinator. About every second change of stock is a fall.
const EVENTS = { flip: 3, order: 1, stock: 0.4, deal: 1 } as const

/** The approximate number of events that an operation makes. */
export const eventsOf = (operation: ExampleOperation): number => {
  switch (operation.kind) {
    case "rollback":
      return 0
    case "transaction":
      return operation.changes.reduce((all, { kind }) => all + EVENTS[kind], 0)
    case "bulk stock":
      return operation.items.length * EVENTS.stock
    default:
      return EVENTS[operation.kind]
  }
}

/** A writer's operations, endlessly. It never reads the database, so only the seed decides them. */
export const planExampleOperations = function* (
  random: Random,
  { items, mentors, opportunities }: ExampleWorld,
  largestBulk: number
): Generator<ExampleOperation> {
  const change = (kind: keyof typeof CHANGES): Change => {
    switch (kind) {
      case "flip":
        return { kind, mentor: random.pick(mentors) }
      case "order":
        return { kind, id: random.uuid(), lines: random.chance(0.05) ? 60 : random.int(1, 3) }
      case "stock":
        return { kind, item: random.pick(items), quantity: random.pick(QUANTITIES) }
      case "deal":
        return {
          kind,
          opportunity: random.pick(opportunities),
          stage: random.pick(STAGES),
          amount: random.pick(AMOUNTS)
        }
    }
  }
  for (;;) {
    const kind = random.weighted(OPERATIONS)
    if (kind === "transaction" || kind === "rollback") {
      const changes = Array.from({ length: random.int(2, 5) }, () => change(random.weighted(CHANGES)))
      yield { kind, changes, pauseSeconds: random.chance(0.2) ? random.int(10, 120) / 1_000 : 0 }
    } else if (kind === "bulk stock") {
      const count = random.int(2, Math.min(largestBulk, MOST_AT_ONCE))
      yield { kind, items: random.sample(items, count), quantity: random.pick(QUANTITIES) }
    } else {
      yield change(kind)
    }
  }
}
