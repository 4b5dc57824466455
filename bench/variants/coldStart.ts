import { type DenoVersion, denoProgram } from "../../local/programs.ts"
import { BenchError } from "../harness/question.ts"
import { figure, median, percentile, rounded } from "../harness/statistics.ts"
import { cpuOf, memoryOf, type Reply, type Running, send } from "./process.ts"
import type { Call } from "./requests.ts"

const DENO_VERSIONS: ReadonlyArray<DenoVersion> = ["2.1.4", "current"]

/** Where a function starts: in which Deno, and whether that finds compiled code of an earlier start. */
export interface Condition {
  readonly deno: DenoVersion
  readonly codeCache: boolean
}

export const CONDITIONS: ReadonlyArray<Condition> = DENO_VERSIONS.flatMap((deno) =>
  [false, true].map((codeCache) => ({ deno, codeCache }))
)

export const isSameCondition = (one: Condition, other: Condition): boolean =>
  one.deno === other.deno && one.codeCache === other.codeCache

export const labelOf = ({ codeCache, deno }: Condition): string =>
  `${deno}, ${codeCache ? "V8 code cache" : "no cache"}`

/** The programs of all Denos, by version. */
export const denoPrograms = async (): Promise<ReadonlyMap<DenoVersion, string>> =>
  new Map(await Promise.all(DENO_VERSIONS.map(async (version) => [version, await denoProgram(version)] as const)))

export interface Cold {
  readonly ms: number
  readonly cpuMs: number
  readonly megabytes: number
}

/** One cold start: from the spawn to the answer to this call, which must be a 200 that has done its work. */
export const coldStart = async (
  name: string,
  start: () => Promise<Running>,
  call: Call,
  isDone: (reply: Reply) => boolean = () => true
): Promise<Cold> => {
  const spawned = performance.now()
  await using running = await start()
  const reply = await send(running.port, call)
  const ms = performance.now() - spawned
  if (reply.status !== 200 || !isDone(reply)) throw new BenchError(`${name} answered ${reply.status}: ${reply.body}`)
  return { ms, cpuMs: await cpuOf(running.pid), megabytes: await memoryOf(running.pid) }
}

/** Medians of the samples, and the time of each. */
export const summarize = (samples: ReadonlyArray<Cold>) => {
  const times = samples.map(({ ms }) => ms)
  return {
    ms: rounded(median(times)),
    p90Ms: rounded(percentile(times, 0.9)),
    cpuMs: rounded(median(samples.map(({ cpuMs }) => cpuMs))),
    megabytes: rounded(median(samples.map(({ megabytes }) => megabytes))),
    msOfEachRound: times.map(rounded)
  }
}

export const milliseconds = (ms: number): string => `${figure(ms)} ms`
