import type { Call, CallKind, Treatment } from "./calls.ts"
import { deliveryFaults } from "./deliveryFaults.ts"
import type { Fence } from "./Fence.ts"
import type { ChaosOptions } from "./options.ts"
import { orderFaults } from "./orderFaults.ts"
import type { Random } from "./random.ts"
import { claimFaults, settleFaults } from "./storeFaults.ts"
import { Tally } from "./Tally.ts"

type Kinds = Readonly<Record<string, Treatment>>

interface Danger {
  readonly faults: Kinds
  readonly probability: number
  readonly bag: Array<string>
}

// By this name in orderFaults.
const REFUSAL = "one event refused"
const pass: Treatment = (call, forward) => forward(call)

/** Decides what becomes of each call that comes by. */
export class Faults {
  readonly injected = new Tally()
  /** Events whose order was answered with a 400: they have a right to be dead letters. */
  readonly refused = new Set<string>()
  /** Which faults are injected still. Refusals alone, at the end, make dead letters that nothing has superseded. */
  active: "all" | "refusals" | "none" = "all"
  readonly #random: Random
  readonly #dangers = new Map<CallKind, Danger>()
  readonly #otherwise: Treatment
  readonly copiesUnderWay: () => number

  constructor(random: Random, kinds: ChaosOptions["faults"], fence: Fence) {
    this.#random = random
    const delivery = deliveryFaults(random.fork("deliveries"))
    this.#otherwise = delivery.otherwise
    this.copiesUnderWay = delivery.copiesUnderWay
    const put = (kind: CallKind, faults: Kinds, probability: number) =>
      void this.#dangers.set(kind, { faults, probability, bag: [] })
    if (kinds.includes("delivery")) put("delivery", delivery.faults, 0.1)
    if (kinds.includes("order")) put("order", orderFaults(random.fork("orders"), this.refused), 0.08)
    if (kinds.includes("store")) {
      put("claim", claimFaults(random.fork("claims")), 0.04)
      put("settle", settleFaults(fence), 0.05)
    }
  }

  choose(call: Call): Treatment {
    const danger = this.#dangers.get(call.kind)
    if (danger !== undefined && this.active !== "none" && this.#random.chance(danger.probability)) {
      if (this.active === "refusals") return this.#refuse(call)
      // Each kind comes once before any comes again.
      if (danger.bag.length === 0) danger.bag.push(...this.#random.shuffled(Object.keys(danger.faults)))
      return this.#inject(danger, danger.bag.pop() ?? "")
    }
    return call.kind === "delivery" ? this.#otherwise : pass
  }

  #refuse({ kind }: Call): Treatment {
    const danger = kind === "order" ? this.#dangers.get(kind) : undefined
    return danger === undefined ? pass : this.#inject(danger, REFUSAL)
  }

  #inject(danger: Danger, name: string): Treatment {
    this.injected.add(name)
    return danger.faults[name] ?? pass
  }
}
