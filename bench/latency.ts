// How long until the coordinators are notified of a single change?
import { setTimeout as wait } from "node:timers/promises"
import { type Ask, expectEqual } from "./harness/question.ts"
import { figure, median, percentile, ratio, rounded, thinned } from "./harness/statistics.ts"
import { idle, startWorld, toldOnce, type Way, type World } from "./world/world.ts"

const LONGEST_SECONDS = 60
const CURVE_POINTS = 100
const PER_SECOND = 10
const CHANGES = { idle: { full: 24, quick: 4 }, steady: { full: 100, quick: 20 } }
const ROUNDS = { full: 2, quick: 1 }
const WARM_UP = 100

const OURS = "ours"
const TUTORIAL = "net.http_post per row"

interface Change {
  readonly mentorId: string
  readonly committed: number
}

const changeOne = async (way: Way, mentorId: string): Promise<Change> => {
  await way.change([mentorId])
  return { mentorId, committed: performance.now() }
}

/** One change at a time, each on an idle system. */
const changeIdle = async (world: World, way: Way, mentorIds: ReadonlyArray<string>): Promise<ReadonlyArray<Change>> => {
  const changes: Array<Change> = []
  for (const mentorId of mentorIds) {
    await idle(world)
    changes.push(await changeOne(way, mentorId))
  }
  return changes
}

/** At a fixed rate, whether or not earlier changes were notified. */
const changeSteadily = async (_: World, way: Way, mentorIds: ReadonlyArray<string>): Promise<ReadonlyArray<Change>> => {
  const began = performance.now()
  const changes: Array<Change> = []
  for (const [at, mentorId] of mentorIds.entries()) {
    await wait(Math.max(0, began + (at * 1_000) / PER_SECOND - performance.now()))
    changes.push(await changeOne(way, mentorId))
  }
  return changes
}

const measure = async (
  world: World,
  way: Way,
  mentorIds: ReadonlyArray<string>,
  change: typeof changeIdle
): Promise<ReadonlyArray<number>> => {
  way.told.expect(mentorIds)
  const changes = await change(world, way, mentorIds)
  const moments = await way.told.everyone(LONGEST_SECONDS)
  await idle(world)
  expectEqual("mentors notified twice", way.told.surplus, 0)
  return changes.map(({ committed, mentorId }) => (moments.get(mentorId) ?? Number.NaN) - committed)
}

const summary = (load: string, way: string, ms: ReadonlyArray<number>) => ({
  load,
  way,
  changes: ms.length,
  p50Ms: rounded(median(ms)),
  p90Ms: rounded(percentile(ms, 0.9)),
  p99Ms: rounded(percentile(ms, 0.99)),
  ms: thinned(ms, CURVE_POINTS).map(rounded)
})

type Figures = ReadonlyArray<ReturnType<typeof summary>>

// A request can arrive before the client has seen its own commit. A logarithmic axis cannot show that.
const SHORTEST_MS = 0.1

const plotOf = (figures: Figures) => ({
  name: "latency",
  title: "One change: how many are notified within (commit → notified)",
  option: {
    xAxis: { type: "log" as const, name: "milliseconds after the commit", min: SHORTEST_MS },
    yAxis: { type: "value" as const, name: "percent of the changes", max: 100 },
    series: figures.map(({ load, ms, way }) => ({
      type: "line" as const,
      name: `${way}, ${load}`,
      showSymbol: false,
      data: ms.map((value, at) => [Math.max(value, SHORTEST_MS), ((at + 1) / ms.length) * 100])
    }))
  }
})

export const ask: Ask = async ({ quick, say }) => {
  const size = quick ? "quick" : "full"
  const loads = [
    { name: "idle", changes: CHANGES.idle[size], change: changeIdle },
    { name: `${PER_SECOND} per second`, changes: CHANGES.steady[size], change: changeSteadily }
  ]
  await using world = await startWorld(CHANGES.steady[size])
  // New processes still compile, and each of PostgREST's connections makes its own plans.
  const first = world.mentorIds.slice(0, WARM_UP)
  await toldOnce(world, first.length, () => measure(world, world.ours, first, changeSteadily))
  const figures: Array<Figures[number]> = []
  for (const { change, changes, name } of loads) {
    const mentorIds = world.mentorIds.slice(0, changes)
    const found = { [OURS]: new Array<number>(), [TUTORIAL]: new Array<number>() }
    for (let round = 0; round < ROUNDS[size]; round++) {
      const part = mentorIds.filter((_, at) => at % ROUNDS[size] === round)
      found[OURS].push(...(await toldOnce(world, part.length, () => measure(world, world.ours, part, change))))
      found[TUTORIAL].push(...(await measure(world, world.tutorial, part, change)))
    }
    for (const [way, ms] of Object.entries(found)) figures.push(summary(name, way, ms))
    say(`${name}: measured`)
  }
  const [idleOurs] = figures
  return {
    budgets: [{ what: "commit → notified, idle, p50", found: idleOurs?.p50Ms ?? Number.NaN, atMost: 15, unit: "ms" }],
    figures,
    tables: [
      {
        title: "Commit → notified, one change at a time",
        head: ["load", "way", "changes", "p50 × ours", "p50", "p90", "p99"],
        rows: figures.map((row) => {
          const own = figures.find(({ load, way }) => load === row.load && way === OURS) ?? row
          const columns = [row.p50Ms, row.p90Ms, row.p99Ms].map((ms) => `${figure(ms)} ms`)
          return [row.load, row.way, String(row.changes), ratio(row.p50Ms, own.p50Ms), ...columns]
        })
      }
    ],
    plots: [plotOf(figures)]
  }
}
