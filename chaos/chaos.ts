import type { Log } from "../local/log.ts"
import { messageOf } from "../local/StackError.ts"
import { wrongClocks } from "./clocks.ts"
import { readEndings } from "./audit.ts"
import type { Call, Forward, Reply } from "./calls.ts"
import { redriveAll } from "./deadLetters.ts"
import { withExamples } from "./examples/scenario.ts"
import { Faults } from "./Faults.ts"
import { Fence } from "./Fence.ts"
import { Killer } from "./Killer.ts"
import { runLoad } from "./load.ts"
import type { ChaosOptions } from "./options.ts"
import { type Backlog, quiescent } from "./quiescence.ts"
import { makeRandom } from "./random.ts"
import { makeReport, type Report } from "./report.ts"
import { product, type Scenario } from "./scenario.ts"
import { ChaosError, openSession, rowsOf, type Session } from "./Session.ts"
import { stepAfter, stepBefore } from "./steps.ts"
import { SETTINGS, type System } from "./system.ts"
import { Tally } from "./Tally.ts"
import { verify } from "./verify.ts"
import type { Load } from "./writers.ts"

export interface Progress extends Backlog {
  readonly phase: "load" | "drain" | "redrive"
  readonly seconds: number
  readonly changes: number
  readonly faults: number
  readonly kills: number
}

export interface Observer {
  readonly progress: (now: Progress) => void
  readonly log: Log
}

const SHORTEST_PATIENCE_SECONDS = 300
const EVENTS_PER_SECOND = 50
const MOST_RECONCILIATIONS = 100

/** Runs the load with faults, then drains, redrives and judges. Fails only if no verdict is possible. */
export const runChaos = (options: ChaosOptions, observer: Observer): Promise<Report> =>
  options.examples === true ? play(withExamples, options, observer) : play(product, options, observer)

const play = async <Op extends { readonly kind: string }, Started extends System>(
  scenario: Scenario<Op, Started>,
  options: ChaosOptions,
  observer: Observer
): Promise<Report> => {
  const startedAt = performance.now()
  const random = makeRandom(String(options.seed))
  const fence = new Fence()
  const faults = new Faults(random.fork("faults"), options.faults, fence)
  const calls = new Tally()
  let killer: Killer | undefined

  const treat = async (call: Call, forward: Forward): Promise<Reply | undefined> => {
    calls.add(call.kind)
    await killer?.reached(stepBefore(call), call)
    const reply = await faults.choose(call)(call, (sent, signal) => fence.watch(sent, () => forward(sent, signal)))
    if (reply?.status === 200) await killer?.reached(stepAfter(call), call)
    return reply
  }

  const wrongClock = wrongClocks(random.fork("clocks"), faults.injected)
  const prelude = () => (options.faults.includes("clock") && faults.active === "all" ? wrongClock() : undefined)

  await using started = new AsyncDisposableStack()
  const system = started.use(await scenario.start(random.fork("system"), treat, prelude, observer.log))
  const { services } = system
  faults.secret = system.secret
  scenario.endanger(faults, random.fork("dangers"), system, options.faults)
  const session = started.use(openSession(system.stack.databaseUrl, "chaos"))
  const work = await scenario.prepare(session, system, random.fork("world"), options)

  const load: Load = { commits: new Map(), changes: 0, operations: new Map() }
  let phase: Progress["phase"] = "load"
  const look = (backlog: Backlog): void =>
    observer.progress({
      ...backlog,
      phase,
      seconds: (performance.now() - startedAt) / 1_000,
      changes: load.changes,
      faults: faults.injected.total,
      kills: killer?.kills.total ?? 0
    })

  const loadStartedAt = performance.now()
  if (options.noNet) await services.net.stop()
  if (options.faults.includes("kill"))
    killer = new Killer(random.fork("kills"), services, scenario.killPlan, options.noNet)
  await runLoad({ options, random, system, session, work, load, killer, look, injected: faults.injected })
  const loadSeconds = (performance.now() - loadStartedAt) / 1_000

  phase = "drain"
  faults.active = "refusals"
  const isIdle = (): boolean => system.proxy.busy() === 0 && faults.copiesUnderWay() === 0
  const patience = SHORTEST_PATIENCE_SECONDS + Math.ceil(options.events / EVENTS_PER_SECOND)
  const quiet = (): Promise<void> =>
    quiescent(session, isIdle, patience, look).catch((cause) => {
      throw new ChaosError([messageOf(cause), ...fence.complaints()].join("\n"), { cause })
    })
  await quiet()
  phase = "redrive"
  faults.active = "none"
  const forced = new Set<string>()
  const deadLetters = await redriveAll(session, { topics: scenario.lateTopics, forced }, quiet)
  await reconcileAll(session, quiet)

  const { topics: evidence, violations } = await scenario.evidence(session, system, forced)
  fence.checkEndings(await readEndings(session))
  const toldWithoutNet = options.noNet
    ? (await rowsOf(session, "select from chaos.told union all select from chaos.told_orders")).length
    : undefined
  const expectation = { refused: faults.refused, maxAttempts: SETTINGS.max_attempts, commits: load.commits }
  const attempts = await rowsOf<{ outcome: string; count: number }>(
    session,
    "select outcome, count(*)::int as count from outbox.attempts group by outcome order by outcome"
  )
  return makeReport({
    options,
    system,
    verdicts: evidence.map((topic) => {
      const verdict = verify(topic, expectation)
      const more = violations.filter((each) => each.topic === topic.topic)
      return { ...verdict, violations: [...verdict.violations, ...more] }
    }),
    fence,
    faults: faults.injected,
    killer,
    steps: scenario.killPlan.steps,
    calls,
    load,
    evidence,
    deadLetters,
    attempts: Object.fromEntries(attempts.map(({ count, outcome }) => [outcome, count])),
    loadSeconds,
    toldWithoutNet,
    seconds: (performance.now() - startedAt) / 1_000
  })
}

// What was notified must end up equal to the watched tables.
const reconcileAll = async (session: Session, quiet: () => Promise<void>): Promise<void> => {
  for (let round = 0; round < MOST_RECONCILIATIONS; round++) {
    const [row] = await rowsOf<{ made: number }>(session, "select outbox.reconcile() as made")
    await quiet()
    if (row?.made === 0) return
  }
  throw new ChaosError("reconcile() keeps finding differences: compare the watched tables with outbox.keys")
}
