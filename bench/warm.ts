// What does a request cost a running handler?
import { load } from "./harness/load.ts"
import type { Ask, Budget } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, percentile, ratio, rounded, thinned } from "./harness/statistics.ts"
import { type Variant, variants } from "./variants/bundle.ts"
import { memoryOf, type Running, totalCpuOf } from "./variants/process.ts"
import { type Call, noChange, notified } from "./variants/requests.ts"
import { prepareVariants } from "./variants/world.ts"

const CONNECTIONS = 16
const CURVE_POINTS = 200

interface Kind {
  readonly name: string
  readonly call: () => Call
  readonly connections: number
  readonly amount: { readonly full: number; readonly quick: number }
}

// Signed again for each run, because a signature is valid for five minutes.
const KINDS: ReadonlyArray<Kind> = [
  {
    name: "no change, 16 connections",
    call: noChange,
    connections: CONNECTIONS,
    amount: { full: 4_000, quick: 1_000 }
  },
  { name: "notified, 16 connections", call: notified, connections: CONNECTIONS, amount: { full: 1_500, quick: 500 } },
  { name: "notified, 1 connection", call: notified, connections: 1, amount: { full: 500, quick: 150 } }
]
const ROUNDS = { full: 5, quick: 2 }
const WARM_UP = { full: 6_000, quick: 1_500 }
const MEMORY_REQUESTS = { full: 100_000, quick: 10_000 }
const MEMORY_STEPS = 10

interface Sample {
  readonly cpuMicroseconds: number
  readonly perSecond: number
  readonly latencies: ReadonlyArray<number>
}

const once = async ({ pid, port }: Running, kind: Kind, amount: number): Promise<Sample> => {
  const before = await totalCpuOf(pid)
  const { latencies, seconds } = await load(port, kind.call(), kind.connections, amount)
  return {
    cpuMicroseconds: ((await totalCpuOf(pid)) - before) * (1_000 / amount),
    perSecond: amount / seconds,
    latencies
  }
}

const summary = (kind: Kind, variant: Variant, samples: ReadonlyArray<Sample>) => {
  const latencies = samples.flatMap((sample) => sample.latencies)
  return {
    kind: kind.name,
    variant,
    cpuMicroseconds: rounded(median(samples.map(({ cpuMicroseconds }) => cpuMicroseconds))),
    perSecond: rounded(median(samples.map(({ perSecond }) => perSecond))),
    p50Ms: rounded(percentile(latencies, 0.5)),
    // Per round, and then the median, so that one hiccup of the machine is not a variant's tail.
    p99Ms: rounded(median(samples.map((sample) => percentile(sample.latencies, 0.99)))),
    latencyMs: thinned(latencies, CURVE_POINTS).map(rounded)
  }
}

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const table = (figures: Figures) => ({
  title: "Warm requests",
  head: [
    "request",
    "variant",
    "CPU × plain",
    "CPU × Hono + Zod",
    "p99 × Hono + Zod",
    "CPU",
    "p50",
    "p99",
    "requests/s"
  ],
  rows: figures.map((row) => {
    const to = (variant: Variant) =>
      figures.find((other) => other.variant === variant && other.kind === row.kind) ?? row
    return [
      row.kind,
      row.variant,
      ratio(row.cpuMicroseconds, to("plain").cpuMicroseconds),
      ratio(row.cpuMicroseconds, to("Hono + Zod").cpuMicroseconds),
      ratio(row.p99Ms, to("Hono + Zod").p99Ms),
      `${figure(row.cpuMicroseconds)} µs`,
      `${figure(row.p50Ms)} ms`,
      `${figure(row.p99Ms)} ms`,
      figure(row.perSecond)
    ]
  })
})

const remember = async ({ pid, port }: Running, requests: number): Promise<ReadonlyArray<number>> => {
  const megabytes = [rounded(await memoryOf(pid))]
  for (let step = 0; step < MEMORY_STEPS; step++) {
    await load(port, noChange(), CONNECTIONS, requests / MEMORY_STEPS)
    megabytes.push(rounded(await memoryOf(pid)))
  }
  return megabytes
}

const memoryTable = (memory: ReadonlyMap<Variant, ReadonlyArray<number>>, requests: number) => ({
  title: `Resident memory over ${requests.toLocaleString("en")} more requests (no change)`,
  head: ["variant", "end ÷ a tenth of the way", "before", "a tenth of the way", "half way", "end"],
  rows: [...memory].map(([variant, megabytes]) => {
    const at = (step: number) => megabytes[step] ?? Number.NaN
    const shown = (step: number) => `${figure(at(step))} MB`
    return [variant, ratio(at(MEMORY_STEPS), at(1)), shown(0), shown(1), shown(MEMORY_STEPS / 2), shown(MEMORY_STEPS)]
  })
})

const budgetsOf = (figures: Figures, memory: ReadonlyMap<Variant, ReadonlyArray<number>>): ReadonlyArray<Budget> => {
  const found = (kind: string, to: Variant, measure: "cpuMicroseconds" | "p99Ms") => {
    const of = (variant: Variant) =>
      figures.find((row) => row.variant === variant && row.kind === kind)?.[measure] ?? Number.NaN
    return of("ours") / of(to)
  }
  const kinds = [...new Set(figures.map(({ kind }) => kind))]
  const megabytes = memory.get("ours") ?? []
  const flat = (megabytes.at(-1) ?? Number.NaN) / (megabytes[1] ?? Number.NaN)
  return [
    ...kinds.flatMap((kind): ReadonlyArray<Budget> => [
      { what: `CPU ÷ plain, ${kind}`, found: found(kind, "plain", "cpuMicroseconds"), atMost: 1.6, unit: "×" },
      {
        what: `CPU ÷ Hono + Zod, ${kind}`,
        found: found(kind, "Hono + Zod", "cpuMicroseconds"),
        atMost: 1.2,
        unit: "×"
      },
      { what: `p99 ÷ Hono + Zod, ${kind}`, found: found(kind, "Hono + Zod", "p99Ms"), atMost: 1, unit: "×" }
    ]),
    { what: "memory at the end ÷ a tenth of the way", found: flat, atMost: 1.1, unit: "×" }
  ]
}

const plotOf = (figures: Figures) => ({
  name: "warm-latency",
  title: "Warm requests: how many are answered within (notified, one connection)",
  option: {
    xAxis: { type: "log" as const, name: "milliseconds", min: 0.5 },
    yAxis: { type: "value" as const, name: "percent of the requests", max: 100 },
    series: figures
      .filter(({ kind }) => kind === KINDS.at(-1)?.name)
      .map(({ latencyMs, variant }) => ({
        type: "line" as const,
        name: variant,
        showSymbol: false,
        data: latencyMs.map((ms, at) => [Math.max(ms, 0.5), ((at + 1) / latencyMs.length) * 100])
      }))
  }
})

export const ask: Ask = async ({ quick, say }) => {
  const size = quick ? "quick" : "full"
  await using world = await prepareVariants()
  await using stack = new AsyncDisposableStack()
  const running = new Map<Variant, Running>()
  for (const variant of variants) running.set(variant, stack.use(await world.start(variant, "2.1.4", true)))
  for (const variant of running.values()) {
    for (const kind of KINDS) await load(variant.port, kind.call(), CONNECTIONS, WARM_UP[size] / KINDS.length)
  }
  const figures: Array<Figures[number]> = []
  for (const kind of KINDS) {
    const samples = await interleaved([...running], ROUNDS[size], ([, variant]) =>
      once(variant, kind, kind.amount[size])
    )
    for (const [[variant], some] of samples) figures.push(summary(kind, variant, some))
    say(`${kind.name}: measured`)
  }
  const requests = MEMORY_REQUESTS[size]
  const memory = new Map<Variant, ReadonlyArray<number>>()
  for (const [variant, process] of running) memory.set(variant, await remember(process, requests))
  return {
    budgets: budgetsOf(figures, memory),
    figures: { requests: figures, megabytes: Object.fromEntries(memory) },
    tables: [table(figures), memoryTable(memory, requests)],
    plots: [plotOf(figures)]
  }
}
