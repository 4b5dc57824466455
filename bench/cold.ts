// How long from the start of a process to its first answer, and what has to be loaded?
import { type Ask, BenchError, type Budget } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, percentile, ratio, rounded } from "./harness/statistics.ts"
import { type Size, type Variant, variants } from "./variants/bundle.ts"
import { cpuOf, memoryOf, send } from "./variants/process.ts"
import { notified } from "./variants/requests.ts"
import { DENO_VERSIONS, prepareVariants, type Variants } from "./variants/world.ts"

const ROUNDS = { full: 20, quick: 3 }
const CACHES = [false, true]

const KILOBYTE = 1_000

interface Cold {
  readonly ms: number
  readonly cpuMs: number
  readonly megabytes: number
}

interface Way {
  readonly variant: Variant
  readonly deno: (typeof DENO_VERSIONS)[number]
  readonly codeCache: boolean
}

const startOnce = async (world: Variants, { codeCache, deno, variant }: Way): Promise<Cold> => {
  const spawned = performance.now()
  await using running = await world.start(variant, deno, codeCache)
  const { status } = await send(running.port, notified())
  const ms = performance.now() - spawned
  if (status !== 200) throw new BenchError(`${variant} answered ${status} to its first delivery`)
  return { ms, cpuMs: await cpuOf(running.pid), megabytes: await memoryOf(running.pid) }
}

const summary = ({ codeCache, deno, variant }: Way, samples: ReadonlyArray<Cold>) => ({
  deno,
  codeCache,
  variant,
  ms: rounded(median(samples.map(({ ms }) => ms))),
  p90Ms: rounded(
    percentile(
      samples.map(({ ms }) => ms),
      0.9
    )
  ),
  cpuMs: rounded(median(samples.map(({ cpuMs }) => cpuMs))),
  megabytes: rounded(median(samples.map(({ megabytes }) => megabytes))),
  msOfEachRound: samples.map(({ ms }) => rounded(ms))
})

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const conditionOf = ({ codeCache, deno }: Pick<Way, "codeCache" | "deno">): string =>
  `Deno ${deno}, ${codeCache ? "V8 code cache" : "no cache"}`

const startsTable = (figures: Figures) => ({
  title: "Cold start: spawn → first 200 (medians)",
  head: ["Deno", "variant", "× plain", "× Hono + Zod", "spawn → 200", "p90", "CPU × plain", "CPU", "memory"],
  rows: figures.map((row) => {
    const to = (variant: Variant) =>
      figures.find((other) => other.variant === variant && conditionOf(other) === conditionOf(row)) ?? row
    return [
      conditionOf(row).replace("Deno ", ""),
      row.variant,
      ratio(row.ms, to("plain").ms),
      ratio(row.ms, to("Hono + Zod").ms),
      `${figure(row.ms)} ms`,
      `${figure(row.p90Ms)} ms`,
      ratio(row.cpuMs, to("plain").cpuMs),
      `${figure(row.cpuMs)} ms`,
      `${figure(row.megabytes)} MB`
    ]
  })
})

const MOST_PACKAGES = 5

const packagesOf = ({ packages }: Size): string => {
  const all = Object.entries(packages)
  const others = all.slice(MOST_PACKAGES).reduce((sum, [, bytes]) => sum + bytes, 0)
  return [...all.slice(0, MOST_PACKAGES), ...(others > 0 ? [["others", others] as const] : [])]
    .map(([name, bytes]) => `${name} ${(bytes / KILOBYTE).toFixed(1)}`)
    .join(", ")
}

const bundlesTable = (bundles: Variants["bundles"]) => ({
  title: "Bundles, KB",
  head: ["variant", "minified", "gzip", "modules", "of which, minified"],
  rows: [...bundles].map(([variant, { size }]) => [
    variant,
    (size.bytes / KILOBYTE).toFixed(1),
    (size.gzipBytes / KILOBYTE).toFixed(1),
    String(size.modules),
    packagesOf(size)
  ])
})

const plotOf = (figures: Figures) => ({
  name: "cold-start",
  title: "Cold start: spawn → first 200, medians",
  option: {
    xAxis: {
      type: "category" as const,
      data: [...new Set(figures.map((row) => conditionOf(row).replace(", ", "\n")))]
    },
    yAxis: { type: "value" as const, name: "milliseconds" },
    series: variants.flatMap((variant) => {
      const rows = figures.filter((row) => row.variant === variant)
      return [
        {
          type: "bar" as const,
          name: variant,
          barGap: "8%",
          data: rows.map(({ ms }) => ms),
          label: {
            show: true,
            position: "insideBottom" as const,
            color: "#ffffff",
            formatter: ({ value }: { readonly value?: unknown }) => Number(value).toFixed(0)
          }
        }
      ]
    })
  }
})

const budgetsOf = (figures: Figures, { bytes, gzipBytes }: Size): ReadonlyArray<Budget> => {
  const worst = (to: Variant): number =>
    Math.max(
      ...figures
        .filter(({ variant }) => variant === "ours")
        .map(
          (own) =>
            own.ms / (figures.find((row) => row.variant === to && conditionOf(row) === conditionOf(own))?.ms ?? 0)
        )
    )
  return [
    {
      what: "cold start ÷ plain, worst of both Denos, with and without cache",
      found: worst("plain"),
      atMost: 1.5,
      unit: "×"
    },
    { what: "cold start ÷ Hono + Zod, worst of the four", found: worst("Hono + Zod"), atMost: 1.25, unit: "×" },
    { what: "bundle, minified", found: bytes / KILOBYTE, atMost: 150, unit: "KB" },
    { what: "bundle, gzip", found: gzipBytes / KILOBYTE, atMost: 50, unit: "KB" }
  ]
}

export const ask: Ask = async ({ quick, say }) => {
  await using world = await prepareVariants()
  say(`${world.kinds} kinds of request are answered alike by ${variants.join(", ")}`)
  const ways = DENO_VERSIONS.flatMap((deno) =>
    CACHES.flatMap((codeCache) => variants.map((variant): Way => ({ variant, deno, codeCache })))
  )
  // The first start fills the code cache. The second tells V8 that the cache is worth keeping.
  for (const way of [...ways, ...ways]) await startOnce(world, way)
  const samples = await interleaved(ways, quick ? ROUNDS.quick : ROUNDS.full, (way) => startOnce(world, way))
  const figures = [...samples].map(([way, some]) => summary(way, some))
  const own = world.bundles.get("ours")?.size
  return {
    budgets: own === undefined ? [] : budgetsOf(figures, own),
    figures: {
      bundles: Object.fromEntries([...world.bundles].map(([variant, { size }]) => [variant, size])),
      starts: figures
    },
    tables: [startsTable(figures), bundlesTable(world.bundles)],
    plots: [plotOf(figures)]
  }
}
