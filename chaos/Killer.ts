import { once } from "node:events"
import { setTimeout as wait } from "node:timers/promises"
import type { Service } from "../local/stack.ts"
import type { Call } from "./calls.ts"
import type { Random } from "./random.ts"
import { ChaosError } from "./Session.ts"
import type { Step } from "./steps.ts"
import type { System } from "./system.ts"
import { Tally } from "./Tally.ts"

type Victim = string

export interface Attack {
  readonly step: Step | undefined
  /** The name of a service, or "handler" for the handler that makes the call. */
  readonly victim: Victim
}

/** Attacks at any moment. */
export const anytime = (...victims: ReadonlyArray<Victim>): ReadonlyArray<Attack> =>
  victims.map((victim) => ({ step: undefined, victim }))

/** Who may be killed, and when. */
export interface KillPlan {
  readonly steps: ReadonlyArray<Step>
  readonly others: ReadonlyArray<Attack>
  readonly rare: ReadonlyArray<Attack>
  /** Without pg_net, nothing is delivered, so no step is ever reached. */
  readonly withoutNet: ReadonlyArray<Attack>
  /** The handler that makes this call. */
  readonly handlerOf: (call: Call) => Victim
}

const LOOK_AGAIN_MILLISECONDS = 10
const STEP_PATIENCE_MILLISECONDS = 10_000
const RECOVERY_MILLISECONDS = 180_000

/** Kills processes, one after another, at a chosen step of a delivery or at any moment. */
export class Killer {
  readonly kills = new Tally()
  readonly steps = new Tally<Step>()
  /** Attacks that were made, or abandoned because no call reached their step. */
  rounds = 0
  readonly #random: Random
  readonly #services: System["services"]
  readonly #plan: KillPlan
  readonly #noNet: boolean
  #bag: Array<Attack> = []
  #armed: (Attack & { readonly struck: () => void }) | undefined

  constructor(random: Random, services: System["services"], plan: KillPlan, noNet: boolean) {
    this.#random = random
    this.#noNet = noNet
    this.#services = services
    this.#plan = plan
  }

  /** Kills the victim of this step. Resolves when its process is gone. */
  async reached(step: Step | undefined, call: Call): Promise<void> {
    const armed = this.#armed
    if (step === undefined || armed?.step !== step) return
    this.#armed = undefined
    const victim = armed.victim === "handler" ? this.#plan.handlerOf(call) : armed.victim
    if (await this.#kill(victim)) this.steps.add(step)
    armed.struck()
  }

  /** Makes one attack, and waits until every service is up again. */
  async attack(signal: AbortSignal): Promise<void> {
    const attack = this.#next()
    await (attack.step === undefined ? this.#kill(attack.victim) : this.#strikeAt(attack, signal))
    await this.#recovered()
    this.rounds += 1
  }

  #next(): Attack {
    const { others, rare: rareOnes, steps, withoutNet } = this.#plan
    // Before the reply, the handler has done its work. pg_net, which waits for the reply, has not.
    const atSteps = steps.map((step): Attack => ({ step, victim: step === "before reply" ? "net" : "handler" }))
    if (this.#bag.length === 0 && this.#noNet) this.#bag = [...this.#random.shuffled(withoutNet)]
    if (this.#bag.length === 0) {
      const rare = this.#random.sample(rareOnes, 3)
      // The first round takes each step once, so that even a short run kills at all of them.
      this.#bag =
        this.rounds === 0
          ? [...this.#random.shuffled(atSteps), ...this.#random.shuffled(others)]
          : [...this.#random.shuffled([...atSteps, ...others, ...rare])]
    }
    return this.#bag.shift() ?? { step: undefined, victim: "handler" }
  }

  async #strikeAt(attack: Attack, signal: AbortSignal): Promise<void> {
    const ended = new AbortController()
    const armed = { ...attack, struck: () => ended.abort() }
    const over = once(ended.signal, "abort")
    this.#armed = armed
    const giveUp = (): void => {
      // An attack that has begun is awaited.
      if (this.#armed !== armed) return
      this.#armed = undefined
      ended.abort()
    }
    const patience = setTimeout(giveUp, STEP_PATIENCE_MILLISECONDS)
    signal.addEventListener("abort", giveUp, { once: true })
    await over
    clearTimeout(patience)
    signal.removeEventListener("abort", giveUp)
  }

  async #kill(victim: Victim): Promise<boolean> {
    const service: Service | undefined = this.#services[victim]
    if (service === undefined) throw new ChaosError(`there is no service ${victim} to kill`)
    if (!service.running) return false
    // Postgres either dies alone, as by a bug, or shuts down at once with all its processes.
    const signal = victim === "postgres" && this.#random.chance(0.5) ? "SIGQUIT" : "SIGKILL"
    this.kills.add(signal === "SIGQUIT" ? "postgres (immediate)" : victim)
    await service.kill(signal)
    return true
  }

  async #recovered(): Promise<void> {
    const deadline = performance.now() + RECOVERY_MILLISECONDS
    const { net, ...others } = this.#services
    for (const service of Object.values(this.#noNet ? others : { net, ...others })) {
      while (!service.running) {
        if (performance.now() > deadline) {
          throw new ChaosError(`${service.name} was not up again ${RECOVERY_MILLISECONDS / 1_000} s after a kill`)
        }
        await wait(LOOK_AGAIN_MILLISECONDS)
      }
    }
  }
}
