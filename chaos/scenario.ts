import type { Log } from "../local/log.ts"
import { installAudit, readEvidence, type Evidence } from "./audit.ts"
import { type Treatment, topicOf } from "./calls.ts"
import type { Late } from "./deadLetters.ts"
import type { Faults } from "./Faults.ts"
import { anytime, type KillPlan } from "./Killer.ts"
import type { ChaosOptions } from "./options.ts"
import { watchOrders } from "./orders.ts"
import { type Operation, planWorld, type World } from "./plan.ts"
import type { Random } from "./random.ts"
import type { Session } from "./Session.ts"
import { STEPS } from "./steps.ts"
import { startSystem, type System } from "./system.ts"
import type { Violation } from "./verify.ts"
import { INSERT_MENTORS, productWork, type Work } from "./writers.ts"

/** A kind of run: its system, its load, and what is read at the end. */
export interface Scenario<Op extends { readonly kind: string }, Started extends System> {
  readonly start: (random: Random, treat: Treatment, prelude: () => string | undefined, log: Log) => Promise<Started>
  /** Adds faults that only this scenario has. */
  readonly endanger: (faults: Faults, random: Random, system: Started, kinds: ChaosOptions["faults"]) => void
  readonly prepare: (session: Session, system: Started, random: Random, options: ChaosOptions) => Promise<Work<Op>>
  readonly killPlan: KillPlan
  readonly lateTopics: Late["topics"]
  readonly evidence: (
    session: Session,
    system: Started,
    forced: Late["forced"]
  ) => Promise<{ readonly topics: ReadonlyArray<Evidence>; readonly violations: ReadonlyArray<Violation> }>
}

export const insertWorld = (session: Session, world: World) =>
  session.retrying(async (client) => {
    const coordinators = `
      insert into public.coordinators (id, name, email)
      select id, 'Bo', id || '@example.com' from unnest($1::uuid[]) as id
      on conflict do nothing`
    await client.query(coordinators, [world.coordinators])
    await client.query(INSERT_MENTORS, [JSON.stringify(world.mentors)])
  })

/** Pauses and resumes, and the stages of orders. */
export const product: Scenario<Operation, Awaited<ReturnType<typeof startSystem>>> = {
  start: startSystem,
  endanger: () => {},
  prepare: async (session, system, random, options) => {
    await installAudit(session)
    await system.configure(session)
    const world = planWorld(random, options.mentors)
    await insertWorld(session, world)
    await watchOrders(session, system.orderStageUrl, Math.ceil(options.mentors / 2))
    return productWork(world)
  },
  killPlan: {
    steps: STEPS,
    others: [{ step: "orchestrator called", victim: "orchestrator" }, ...anytime("order-stage", "postgres", "net")],
    rare: [
      { step: "before claim", victim: "postgrest" },
      { step: "before settle", victim: "postgres" },
      { step: "after claim", victim: "postgres" },
      { step: "before settle", victim: "postgrest" },
      { step: "orchestrator called", victim: "net" },
      { step: "after orchestrator accepted", victim: "postgres" },
      ...anytime("cron", "handler", "postgrest")
    ],
    withoutNet: anytime("postgres", "postgrest", "cron", "handler", "order-stage", "orchestrator"),
    handlerOf: (call) => (topicOf(call) === "order-stage" ? "order-stage" : "handler")
  },
  lateTopics: new Set(),
  evidence: async (session) => ({ topics: await readEvidence(session), violations: [] })
}
