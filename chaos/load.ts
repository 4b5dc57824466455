import { setTimeout as wait } from "node:timers/promises"
import { refuseRequests, setClockBack } from "./databaseFaults.ts"
import type { Killer } from "./Killer.ts"
import type { ChaosOptions } from "./options.ts"
import { type Backlog, readBacklog } from "./quiescence.ts"
import type { Random } from "./random.ts"
import { openSession, type Session } from "./Session.ts"
import type { System } from "./system.ts"
import type { Tally } from "./Tally.ts"
import { type Load, type Work, write } from "./writers.ts"

export interface LoadOptions<Op extends { readonly kind: string }> {
  readonly options: ChaosOptions
  readonly random: Random
  readonly system: System
  readonly session: Session
  readonly work: Work<Op>
  readonly load: Load
  readonly killer: Killer | undefined
  readonly look: (backlog: Backlog) => void
  readonly injected: Tally
}

const WRITERS = 8
const LARGEST_BULK = 500
const EVENTS_PER_KILL = 100
const FEWEST_KILLS = 10
const MOST_KILLS = 40
const SHORTEST_REST_MILLISECONDS = 100
const LONGEST_REST_MILLISECONDS = 1_000
const LOOK_AGAIN_MILLISECONDS = 300
const FEWEST_UNSETTLED = 200
const MOST_UNSETTLED = 1_500
const UPSETS = 6

/** Changes profiles from several connections while processes are killed, until enough is committed. */
export const runLoad = async <Op extends { readonly kind: string }>(given: LoadOptions<Op>): Promise<void> => {
  const { injected, killer, load, look, options, random, session, system, work } = given
  const { events, mentors } = options
  const ended = new AbortController()
  const kills = Math.min(MOST_KILLS, Math.max(FEWEST_KILLS, Math.floor(events / EVENTS_PER_KILL)))
  // Without pg_net, nothing is settled before the load has ended.
  const mostUnsettled = options.noNet ? Infinity : Math.min(MOST_UNSETTLED, Math.max(FEWEST_UNSETTLED, mentors * 3))
  let unsettled = 0

  // Writers and the killer wait for each other, so that the kills are spread over the load.
  const changesBefore = (round: number): number => (events * round) / kills
  const allowance = (): number => (killer === undefined ? Infinity : changesBefore(killer.rounds + 1))
  const mayWrite = (): boolean => unsettled < mostUnsettled && load.changes < allowance()

  const writer = async (name: string): Promise<void> => {
    await using own = openSession(system.stack.databaseUrl, name)
    const largestBulk = Math.max(2, Math.min(mentors, Math.floor(events / 20), LARGEST_BULK))
    const operations = work.operations(random.fork(name), largestBulk)
    await write({ ...work, session: own, operations, load, events, mayWrite, signal: ended.signal })
  }

  const writing = async (): Promise<void> => {
    await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(`writer ${index}`)))
    ended.abort()
  }

  const killing = async (): Promise<void> => {
    if (killer === undefined) return
    const rests = random.fork("rests")
    while (killer.rounds < kills && !ended.signal.aborted) {
      await killer.attack(ended.signal)
      await wait(rests.int(SHORTEST_REST_MILLISECONDS, LONGEST_REST_MILLISECONDS))
      while (load.changes < changesBefore(killer.rounds - 1) && !ended.signal.aborted)
        await wait(LOOK_AGAIN_MILLISECONDS)
    }
  }

  const rotating = async (): Promise<void> => {
    if (!options.faults.includes("rotation")) return
    for (const [third, part] of [
      [1, "both"],
      [2, "new"]
    ] as const) {
      while (load.changes < (events * third) / 3 && !ended.signal.aborted) await wait(LOOK_AGAIN_MILLISECONDS)
      await system.rotate(session, part)
    }
  }

  // A few times, spread over the load.
  const upsetting = async (): Promise<void> => {
    await using admin = openSession(system.stack.adminUrl, "chaos admin")
    const moments = random.fork("upsets")
    for (let part = 1; part < UPSETS && !ended.signal.aborted; part++) {
      while (load.changes < (events * part) / UPSETS && !ended.signal.aborted) await wait(LOOK_AGAIN_MILLISECONDS)
      if (ended.signal.aborted) return
      if (options.faults.includes("net") && !options.noNet) await refuseRequests(admin, moments, injected)
      if (options.faults.includes("clock")) await setClockBack(session, injected)
    }
  }

  const looking = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const backlog = await readBacklog(session)
      unsettled = backlog.unsettled
      look(backlog)
      await wait(LOOK_AGAIN_MILLISECONDS)
    }
  }

  const parts = [writing(), killing(), rotating(), upsetting(), looking()]
  for (const part of parts) part.catch(() => ended.abort())
  // Wait for all of them, even if one has failed: none may still run when the stack is taken down.
  await Promise.allSettled(parts)
  await Promise.all(parts)
}
