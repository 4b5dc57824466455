// How long until everybody is notified, if one UPDATE changes many mentors?
import { type Ask, type Budget, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, percentile, ratio, rounded, thinned } from "./harness/statistics.ts"
import { idle, startWorld, toldOnce, type Way, type World } from "./world/world.ts"

const LONGEST_SECONDS = 300
const CURVE_POINTS = 100

interface Sample {
  readonly statementMs: number
  /** Milliseconds from the commit to the notification for each mentor, in order. */
  readonly toldMs: ReadonlyArray<number>
}

type Contender = "ours" | "net.http_post per row"

const OURS: Contender = "ours"
const TUTORIAL: Contender = "net.http_post per row"

const changeAndWatch = async (way: Way, mentorIds: ReadonlyArray<string>): Promise<Sample> => {
  way.told.expect(mentorIds)
  const started = performance.now()
  await way.change(mentorIds)
  const committed = performance.now()
  const moments = await way.told.everyone(LONGEST_SECONDS)
  return { statementMs: committed - started, toldMs: [...moments.values()].map((moment) => moment - committed) }
}

const burst = async (world: World, contender: Contender, size: number): Promise<Sample> => {
  const mentorIds = world.mentorIds.slice(0, size)
  const way = contender === OURS ? world.ours : world.tutorial
  await idle(world)
  const run = async () => {
    const sample = await changeAndWatch(way, mentorIds)
    await idle(world)
    return sample
  }
  const sample = await (contender === OURS ? toldOnce(world, size, run) : run())
  expectEqual("mentors notified twice", way.told.surplus, 0)
  return sample
}

const summary = (size: number, way: Contender, samples: ReadonlyArray<Sample>) => {
  const lastMs = samples.map(({ toldMs }) => toldMs.at(-1) ?? Number.NaN)
  const toldMs = samples.flatMap((sample) => sample.toldMs)
  return {
    size,
    way,
    seconds: rounded(median(lastMs) / 1_000),
    p50Seconds: rounded(percentile(toldMs, 0.5) / 1_000),
    p99Seconds: rounded(percentile(toldMs, 0.99) / 1_000),
    statementMs: rounded(median(samples.map(({ statementMs }) => statementMs))),
    secondsOfEachRound: lastMs.map((ms) => rounded(ms / 1_000)),
    curveSeconds: thinned(toldMs, CURVE_POINTS).map((ms) => rounded(ms / 1_000))
  }
}

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const plotOf = (figures: Figures, size: number) => ({
  name: "burst",
  title: `${size.toLocaleString("en")} mentors changed by one UPDATE`,
  option: {
    xAxis: { type: "log" as const, name: "seconds after the commit", min: 0.01 },
    yAxis: { type: "value" as const, name: "mentors notified" },
    series: figures
      .filter((row) => row.size === size)
      .map(({ curveSeconds, way }) => ({
        type: "line" as const,
        name: way,
        showSymbol: false,
        data: curveSeconds.map((seconds, at) => [
          Math.max(seconds, 0.01),
          Math.round((size * (at + 1)) / curveSeconds.length)
        ])
      }))
  }
})

const budgetsOf = (figures: Figures, size: number): ReadonlyArray<Budget> => {
  const seconds = (way: Contender) => figures.find((row) => row.size === size && row.way === way)?.seconds ?? Number.NaN
  return [
    {
      what: `burst of ${size.toLocaleString("en")}: ${TUTORIAL} ÷ ours`,
      found: seconds(TUTORIAL) / seconds(OURS),
      atLeast: 8,
      unit: "×"
    }
  ]
}

export const ask: Ask = async ({ quick, say }) => {
  const largest = quick ? 1_000 : 5_000
  const plan = quick
    ? [{ size: largest, ways: [OURS, TUTORIAL], rounds: 1 }]
    : [
        { size: 100, ways: [OURS, TUTORIAL], rounds: 3 },
        { size: 1_000, ways: [OURS, TUTORIAL], rounds: 2 },
        // Ours runs before and after the other way, which takes so long that the machine could be busier meanwhile.
        { size: largest, ways: [OURS, TUTORIAL], rounds: 1 },
        { size: largest, ways: [OURS], rounds: 2 }
      ]
  await using world = await startWorld(largest)
  // A handler's first event includes its start.
  await burst(world, OURS, 100)
  const measured = new Map<
    string,
    { readonly size: number; readonly way: Contender; readonly samples: Array<Sample> }
  >()
  for (const { rounds, size, ways } of plan) {
    const samples = await interleaved(ways, rounds, async (way) => {
      const sample = await burst(world, way, size)
      say(`${size} mentors, ${way}: ${figure((sample.toldMs.at(-1) ?? Number.NaN) / 1_000)} s`)
      return sample
    })
    for (const [way, some] of samples) {
      const key = `${size} ${way}`
      measured.set(key, { size, way, samples: [...(measured.get(key)?.samples ?? []), ...some] })
    }
  }
  const figures = [...measured.values()].map(({ samples, size, way }) => summary(size, way, samples))
  const ofOurs = new Map(figures.filter(({ way }) => way === OURS).map((row) => [row.size, row.seconds]))
  return {
    budgets: budgetsOf(figures, largest),
    figures,
    tables: [
      {
        title: "Commit → all notified, one UPDATE of many mentors",
        head: ["mentors", "way", "× ours", "commit → all notified", "p50", "p99", "the UPDATE itself"],
        rows: figures.map((row) => [
          row.size.toLocaleString("en"),
          row.way,
          ratio(row.seconds, ofOurs.get(row.size) ?? Number.NaN),
          `${figure(row.seconds)} s`,
          `${figure(row.p50Seconds)} s`,
          `${figure(row.p99Seconds)} s`,
          `${figure(row.statementMs)} ms`
        ])
      }
    ],
    plots: [plotOf(figures, largest)]
  }
}
