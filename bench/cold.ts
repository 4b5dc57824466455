// How long from the start of a process to its first answer, and what has to be loaded?
import { type Ask, type Budget } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, ratio } from "./harness/statistics.ts"
import { type Size, type Variant, variants } from "./variants/bundle.ts"
import {
  type Cold,
  coldStart,
  type Condition,
  CONDITIONS,
  isSameCondition,
  labelOf,
  milliseconds,
  summarize
} from "./variants/coldStart.ts"
import { notified } from "./variants/requests.ts"
import { prepareVariants, type Variants } from "./variants/world.ts"

const ROUNDS = { full: 20, quick: 3 }

const KILOBYTE = 1_000

interface Way extends Condition {
  readonly variant: Variant
}

const startOnce = (world: Variants, { codeCache, deno, variant }: Way): Promise<Cold> =>
  coldStart(variant, () => world.start(variant, deno, codeCache), notified())

const summary = ({ codeCache, deno, variant }: Way, samples: ReadonlyArray<Cold>) => ({
  deno,
  codeCache,
  variant,
  ...summarize(samples)
})

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const startsTable = (figures: Figures) => ({
  title: "Cold start: spawn → first 200 (medians)",
  head: ["Deno", "variant", "× plain", "× Hono + Zod", "spawn → 200", "p90", "CPU × plain", "CPU", "memory"],
  rows: figures.map((row) => {
    const to = (variant: Variant) =>
      figures.find((other) => other.variant === variant && isSameCondition(other, row)) ?? row
    return [
      labelOf(row),
      row.variant,
      ratio(row.ms, to("plain").ms),
      ratio(row.ms, to("Hono + Zod").ms),
      milliseconds(row.ms),
      milliseconds(row.p90Ms),
      ratio(row.cpuMs, to("plain").cpuMs),
      milliseconds(row.cpuMs),
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
      data: [...new Set(figures.map((row) => `Deno ${labelOf(row).replace(", ", "\n")}`))]
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
        .map((own) => own.ms / (figures.find((row) => row.variant === to && isSameCondition(row, own))?.ms ?? 0))
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
  const ways = CONDITIONS.flatMap(({ codeCache, deno }) =>
    variants.map((variant): Way => ({ deno, codeCache, variant }))
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
