import type { Call, CallKind, Treatment } from "./calls.ts"
import { deliveryFaults } from "./deliveryFaults.ts"
import type { Fence } from "./Fence.ts"
import type { ChaosOptions } from "./options.ts"
import { orderFaults } from "./orderFaults.ts"
import type { Random } from "./random.ts"
import { claimFaults, settleFaults } from "./storeFaults.ts"
import { Tally } from "./Tally.ts"

export type Kinds = Readonly<Record<string, Treatment>>

interface Danger {
  readonly faults: Kinds
  readonly otherwise: Treatment
  readonly probability: number
  readonly draw: () => string
}

// The key in orderFaults.
export const REFUSAL = "one event refused"
const pass: Treatment = (call, forward) => forward(call)

/** Decides what happens to each call. */
export class Faults {
  readonly injected = new Tally()
  /** Events whose call was answered with a 400. These may become dead letters. */
  readonly refused = new Set<string>()
  /** Which faults are still injected. At the end, only refusals: they make dead letters that nothing has superseded. */
  active: "all" | "refusals" | "none" = "all"
  /** The secret that the handler accepts, once it is known. */
  secret: string | undefined
  readonly #random: Random
  readonly #dangers = new Map<CallKind, Danger>()
  readonly copiesUnderWay: () => number

  /** Sets what may happen to calls of a kind, and how often. */
  put(kind: CallKind, probability: number, faults: Kinds, otherwise = pass): void {
    const draw = this.#random.drawing(Object.keys(faults))
    this.#dangers.set(kind, { faults, otherwise, probability, draw })
  }

  constructor(random: Random, kinds: ChaosOptions["faults"], fence: Fence) {
    this.#random = random
    const delivery = deliveryFaults(random.fork("deliveries"), () => this.secret)
    this.copiesUnderWay = delivery.copiesUnderWay
    const put = this.put.bind(this)
    if (kinds.includes("delivery")) put("delivery", 0.1, delivery.faults, delivery.otherwise)
    if (kinds.includes("order")) {
      put("order", 0.08, orderFaults(random.fork("orders"), this.refused))
      put("tell", 0.04, orderFaults(random.fork("tellings"), this.refused))
    }
    if (kinds.includes("store")) {
      const settlement = settleFaults(fence)
      put("claim", 0.04, claimFaults(random.fork("claims")))
      put("settle", 0.05, settlement.faults, settlement.otherwise)
    }
  }

  choose(call: Call): Treatment {
    const danger = this.#dangers.get(call.kind)
    if (danger === undefined) return pass
    if (this.active === "none" || !this.#random.chance(danger.probability)) return danger.otherwise
    if (this.active === "refusals" && !(REFUSAL in danger.faults)) return danger.otherwise
    const name = this.active === "refusals" ? REFUSAL : danger.draw()
    this.injected.add(name)
    return danger.faults[name] ?? danger.otherwise
  }
}
