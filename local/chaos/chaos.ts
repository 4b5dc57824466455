import { setTimeout as wait } from "node:timers/promises"
import type { Log } from "../log.ts"
import { installAudit, readEvidence } from "./audit.ts"
import { stepAfter, stepBefore } from "./steps.ts"
import type { Call, Forward, Reply } from "./calls.ts"
import { redriveAll } from "./deadLetters.ts"
import { Faults } from "./Faults.ts"
import { Fence } from "./Fence.ts"
import { Killer } from "./Killer.ts"
import type { ChaosOptions } from "./options.ts"
import { planOperations, planWorld } from "./plan.ts"
import { type Backlog, quiescent, readBacklog } from "./quiescence.ts"
import { makeRandom } from "./random.ts"
import { makeReport, type Report } from "./report.ts"
import { ChaosError, openSession, rowsOf, type Session } from "./Session.ts"
import { startSystem } from "./system.ts"
import { Tally } from "./Tally.ts"
import { verify } from "./verify.ts"
import { INSERT_MENTORS, type Load, write } from "./writers.ts"

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

const WRITERS = 8
const MAX_ATTEMPTS = 10
const EVENTS_PER_KILL = 100
const FEWEST_KILLS = 7
const KILLS_PER_SECOND = 1 / 3
const LOOK_AGAIN_MILLISECONDS = 300

const insertWorld = (session: Session, world: ReturnType<typeof planWorld>) =>
  session.retrying(async (client) => {
    const coordinators = "insert into public.coordinators (id) select unnest($1::uuid[]) on conflict do nothing"
    await client.query(coordinators, [world.coordinators])
    await client.query(INSERT_MENTORS, [JSON.stringify(world.mentors)])
  })

/** One whole run: load with faults, quiet, redrive, verdict. Fails only when there can be no verdict. */
export const runChaos = async (options: ChaosOptions, observer: Observer): Promise<Report> => {
  const startedAt = performance.now()
  const random = makeRandom(String(options.seed))
  const fence = new Fence()
  const faults = new Faults(random.fork("faults"), options.faults, fence)
  const calls = new Tally()
  let killer: Killer | undefined

  const treat = async (call: Call, forward: Forward): Promise<Reply | undefined> => {
    calls.add(call.kind)
    await killer?.reached(stepBefore(call))
    const reply = await faults.choose(call)(call, (sent, signal) => fence.watch(sent, () => forward(sent, signal)))
    if (reply?.status === 200) await killer?.reached(stepAfter(call))
    return reply
  }

  await using started = new AsyncDisposableStack()
  const system = started.use(await startSystem(random.fork("system"), treat, observer.log))
  const { services, databaseUrl } = system.stack
  const session = started.use(openSession(databaseUrl, "chaos"))
  await installAudit(session)
  await system.configure(session)
  const world = planWorld(random.fork("world"), options.mentors)
  await insertWorld(session, world)

  const load: Load = { commits: new Map(), changes: 0, operations: new Map() }
  let phase: Progress["phase"] = "load"
  let backlog: Backlog = { unsettled: 0, deadLetters: 0 }
  const look = (seen: Backlog): void => {
    backlog = seen
    observer.progress({
      ...backlog,
      phase,
      seconds: (performance.now() - startedAt) / 1_000,
      changes: load.changes,
      faults: faults.injected.total,
      kills: killer?.kills.total ?? 0
    })
  }

  const kills = options.faults.includes("kill")
    ? Math.max(FEWEST_KILLS, Math.floor(options.events / EVENTS_PER_KILL))
    : 0
  const mostUnsettled = Math.max(200, options.mentors * 3)
  // Writers wait for the killer, so that it gets round however fast they are.
  const allowance = (): number =>
    kills === 0 || killer === undefined ? Infinity : (options.events * (killer.rounds + 1)) / kills
  const mayWrite = (): boolean => backlog.unsettled < mostUnsettled && load.changes < allowance()

  const loadStartedAt = performance.now()
  const loaded = new AbortController()
  if (options.noNet) await services.net.stop()
  if (kills > 0) killer = new Killer(random.fork("kills"), services)

  const writing = Promise.all(
    Array.from({ length: WRITERS }, async (_, index) => {
      await using own = openSession(databaseUrl, `writer ${index}`)
      const largestBulk = Math.max(2, Math.min(options.mentors, Math.floor(options.events / 20), 500))
      const operations = planOperations(random.fork(`writer ${index}`), world, largestBulk)
      await write({ session: own, operations, load, events: options.events, mayWrite })
    })
  ).finally(() => loaded.abort())

  const killing = (async () => {
    const pauses = random.fork("pauses")
    while (killer !== undefined && killer.rounds < kills && !loaded.signal.aborted) {
      await killer.attack(loaded.signal)
      await wait(pauses.int(100, 2_000 / KILLS_PER_SECOND / 6))
    }
  })()

  const rotating = (async () => {
    if (!options.faults.includes("rotation")) return
    for (const part of ["both", "new"] as const) {
      const due = (options.events * (part === "both" ? 1 : 2)) / 3
      while (load.changes < due && !loaded.signal.aborted) await wait(LOOK_AGAIN_MILLISECONDS)
      await system.rotate(session, part)
    }
  })()

  const looking = (async () => {
    while (!loaded.signal.aborted) {
      look(await readBacklog(session))
      await wait(LOOK_AGAIN_MILLISECONDS, undefined, { signal: loaded.signal }).catch(() => {})
    }
  })()

  await Promise.all([writing, killing, rotating, looking])
  const loadSeconds = (performance.now() - loadStartedAt) / 1_000
  const withoutNet = options.noNet ? (await rowsOf(session, "select from chaos.told")).length : undefined
  if (options.noNet) await services.net.start()

  phase = "drain"
  faults.active = false
  const patience = 60 + Math.ceil(options.events / 50)
  const isIdle = (): boolean => system.proxy.busy() === 0 && faults.copiesUnderWay() === 0
  await quiescent(session, isIdle, patience, look)
  phase = "redrive"
  const deadLetters = await redriveAll(session)
  await quiescent(session, isIdle, patience, look)
  await reconcileAll(session, isIdle, patience, look)

  const evidence = await readEvidence(session)
  const verdict = verify(evidence, { refused: faults.refused, maxAttempts: MAX_ATTEMPTS, commits: load.commits })
  const [attempts] = await rowsOf<{ sent: number; retries: number }>(
    session,
    "select sum(attempts)::int as sent, sum(greatest(attempts - 1, 0))::int as retries from pause_status.webhook_queue"
  )
  return makeReport({
    options,
    system,
    verdict,
    fence,
    faults: faults.injected,
    ...(killer !== undefined && { killer }),
    calls,
    load,
    evidence,
    deadLetters,
    retries: attempts?.retries ?? 0,
    loadSeconds,
    ...(withoutNet !== undefined && { withoutNet }),
    seconds: (performance.now() - startedAt) / 1_000
  })
}

// What coordinators know must be what the profiles say, words of the project's own apart.
const reconcileAll = async (
  session: Session,
  isIdle: () => boolean,
  patience: number,
  look: (backlog: Backlog) => void
): Promise<void> => {
  for (let round = 0; round < 100; round++) {
    const [row] = await rowsOf<{ made: number }>(session, "select pause_status.reconcile() as made")
    await quiescent(session, isIdle, patience, look)
    if (row?.made === 0) return
  }
  throw new ChaosError("reconcile() finds a difference again and again")
}
