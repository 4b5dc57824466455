import type { DenoVersion } from "../../local/programs.ts"
import type { Input } from "./Input.ts"
import { openContract } from "../support/contract.ts"
import { inputAt } from "./inputs.ts"
import { judge } from "./judge.ts"
import { COORDINATORS, startSystem, type System } from "./system.ts"
import { type Said, sayTo } from "./talk.ts"

export interface FuzzOptions {
  readonly seed: number
  readonly deno: DenoVersion
  /** The first index, and how many inputs, or for how long. */
  readonly from: number
  readonly until: { readonly inputs: number } | { readonly minutes: number }
}

/** An input that was answered as it must not be. */
export interface Surprise {
  readonly index: number
  readonly input: Input
  readonly words: ReadonlyArray<string>
  readonly what: ReadonlyArray<string>
}

export interface FuzzReport {
  readonly seed: number
  readonly deno: DenoVersion
  readonly inputs: number
  readonly seconds: number
  /** How often each kind of input got each answer. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** The first of them. */
  readonly surprises: ReadonlyArray<Surprise>
  /** What is wrong with the whole; empty when all is well. */
  readonly faults: ReadonlyArray<string>
  readonly told: number
  /** Of those that were said at once. */
  readonly milliseconds: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly megabytes: { readonly warm: number; readonly end: number; readonly peak: number }
}

const CONNECTIONS = 24
const BLOCK = 200
const SURPRISES_KEPT = 50
// What an idle heap may have grown by between two thirds of a run without anything being lost.
const GROWTH_MEGABYTES = 64

interface Numbered {
  readonly index: number
  readonly input: Input
}

/** Inputs one after the other, made a block at a time, with the mentors of the genuine ones in the database. */
const makeQueue = (system: System, { from, seed, until }: FuzzOptions, eachBlock: () => Promise<void>) => {
  const end = "inputs" in until ? from + until.inputs : Number.POSITIVE_INFINITY
  const overAt = "minutes" in until ? performance.now() + until.minutes * 60_000 : Number.POSITIVE_INFINITY
  const told = system.world.eventIds.slice()
  let made = from
  let block: IterableIterator<Numbered> = [].values()
  let refilling: Promise<void> | undefined
  const refill = async (): Promise<void> => {
    await eachBlock()
    const start = made
    made = Math.min(end, start + BLOCK)
    const inputs = Array.from({ length: made - start }, (_, at) => ({
      index: start + at,
      input: inputAt(seed, start + at, system.world)
    }))
    const events = inputs.flatMap(({ input }) => (input.genuine === undefined ? [] : [input.genuine]))
    await system.prepare(events.map(({ mentorId }) => mentorId))
    told.push(...events.map(({ eventId }) => eventId))
    block = inputs.values()
    refilling = undefined
  }
  const next = async (): Promise<Numbered | undefined> => {
    for (;;) {
      const { done, value } = block.next()
      if (!done) return value
      if (made >= end || performance.now() > overAt) return undefined
      await (refilling ??= refill())
    }
  }
  return { next, told }
}

const faultsOf = async (system: System, told: ReadonlyArray<string>) => {
  // Health asks the orchestrator too, but says nothing.
  const calls = system.proxy
    .seen("/pause-notification-orchestrator")
    .filter(({ body }) => body !== "")
    .map(({ headers }) => headers["idempotency-key"])
  const known = new Set(told)
  const strangers = calls.filter((key) => !known.has(String(key)))
  const { all, theirs } = await system.notifications(told)
  return [
    ...(strangers.length > 0 ? [`the orchestrator was called for ${strangers.length} events that are none`] : []),
    ...(new Set(calls).size === told.length ? [] : [`${told.length} events, but not as many were told of`]),
    ...(all === theirs && theirs === told.length * COORDINATORS
      ? []
      : [`${told.length} events told to ${COORDINATORS} each: ${theirs} notifications of theirs, ${all} in all`]),
    ...system.leaks.slice(0, 5).map((line) => `the log says what it must not: ${line}`)
  ]
}

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)

const megabytesOf = (samples: ReadonlyArray<number>) => {
  const third = Math.ceil(samples.length / 3)
  const typical = (part: ReadonlyArray<number>) =>
    percentile(
      part.toSorted((one, other) => one - other),
      0.5
    )
  return {
    warm: typical(samples.slice(third, 2 * third)),
    end: typical(samples.slice(-third)),
    peak: Math.round(Math.max(0, ...samples))
  }
}

/** Says input after input to the running function, and judges each answer. */
export const runFuzz = async (options: FuzzOptions, progress: (inputs: number) => void): Promise<FuzzReport> => {
  await using system = await startSystem(options.deno)
  const contract = await openContract()
  const { pid } = system.handler
  const answers = new Map<string, Map<string, number>>()
  const surprises: Array<Surprise> = []
  const memory: Array<number> = []
  const millis: Array<number> = []
  const count = { inputs: 0, surprises: 0 }

  const queue = makeQueue(system, options, async () => {
    const used = await system.memory()
    if (used !== undefined) memory.push(used)
    progress(count.inputs)
  })

  const learn = ({ index, input }: Numbered, said: Said): void => {
    const { surprises: what, words } = judge(input, said, system.world, contract)
    const counts = answers.get(input.kind) ?? new Map<string, number>()
    answers.set(input.kind, counts)
    for (const word of words.length === 0 ? ["hung up on"] : words) counts.set(word, (counts.get(word) ?? 0) + 1)
    count.inputs++
    if (!input.alone) millis.push(said.millis)
    if (what.length === 0) return
    count.surprises++
    if (surprises.length < SURPRISES_KEPT) surprises.push({ index, input, words, what })
  }

  const work = async (): Promise<void> => {
    await using talk = sayTo(system.port)
    for (let next = await queue.next(); next !== undefined; next = await queue.next()) {
      learn(next, await talk.say(next.input))
    }
  }

  await using first = sayTo(system.port)
  for (const input of system.told) learn({ index: -1, input }, await first.say(input))
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: CONNECTIONS }, work))
  const seconds = (performance.now() - startedAt) / 1_000
  const megabytes = megabytesOf(memory)
  millis.sort((one, other) => one - other)
  return {
    seed: options.seed,
    deno: options.deno,
    inputs: count.inputs - system.told.length,
    seconds,
    answers,
    surprises,
    faults: [
      ...(count.surprises > 0 ? [`${count.surprises} surprises`] : []),
      ...(await faultsOf(system, queue.told)),
      ...(system.handler.pid === pid ? [] : ["the function's process died"]),
      ...(megabytes.end <= megabytes.warm + GROWTH_MEGABYTES
        ? []
        : [`memory grew from ${megabytes.warm} to ${megabytes.end} MB`])
    ],
    told: queue.told.length,
    milliseconds: { p50: percentile(millis, 0.5), p99: percentile(millis, 0.99), max: percentile(millis, 1) },
    megabytes
  }
}
