import { markdownTable } from "../local/benchmarksPage.ts"
import { table } from "../local/demo/table.ts"
import type { Evidence } from "./audit.ts"
import type { Fence, Trespass } from "./Fence.ts"
import type { Killer } from "./Killer.ts"
import { type ChaosOptions, replayCommand } from "./options.ts"
import type { Step } from "./steps.ts"
import { SETTINGS, type System } from "./system.ts"
import type { Tally } from "./Tally.ts"
import type { Load } from "./writers.ts"
import type { Verdict, Violation, ViolationKind } from "./verify.ts"

export interface Report {
  readonly passed: boolean
  readonly seed: number
  readonly command: string
  readonly events: number
  readonly notified: number
  readonly topics: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly violations: Readonly<Record<ViolationKind | "trespass", number>>
  readonly examples: ReadonlyArray<Violation | Trespass>
  readonly operations: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly kills: Readonly<Record<string, number>>
  readonly steps: Readonly<Record<string, number>>
  readonly staleSettlements: number
  readonly calls: Readonly<Record<string, number>>
  /** Attempts by how they ended. Unless it was completed, another attempt or a dead letter followed. */
  readonly attempts: Readonly<Record<string, number>>
  readonly deadLetters: Readonly<Record<string, number>>
  readonly toldWithoutNet?: number
  readonly milliseconds: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly setup: Readonly<Record<string, number | boolean>>
  readonly loadSeconds: number
  readonly seconds: number
}

export interface Findings {
  readonly options: ChaosOptions
  readonly system: System
  readonly verdicts: ReadonlyArray<Verdict>
  readonly fence: Fence
  readonly faults: Tally
  readonly killer: Killer | undefined
  readonly steps: ReadonlyArray<Step>
  readonly calls: Tally
  readonly load: Load
  readonly evidence: ReadonlyArray<Evidence>
  readonly deadLetters: { readonly redriven: number; readonly superseded: number }
  readonly attempts: Readonly<Record<string, number>>
  readonly toldWithoutNet: number | undefined
  readonly loadSeconds: number
  readonly seconds: number
}

const EXAMPLES = 10

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)

const tenths = (value: number): number => Math.round(value * 10) / 10

export const makeReport = (found: Findings): Report => {
  const { evidence, fence, killer, options, system, verdicts } = found
  const violations = verdicts.flatMap((verdict) => verdict.violations)
  const latencies = verdicts.flatMap((verdict) => verdict.latencies).toSorted((one, other) => one - other)
  const count = (kind: ViolationKind, among: ReadonlyArray<Violation> = violations) =>
    among.filter((each) => each.kind === kind).length
  const sum = (of: (verdict: Verdict) => number) => verdicts.reduce((all, verdict) => all + of(verdict), 0)
  return {
    passed: violations.length === 0 && fence.trespasses.length === 0,
    seed: options.seed,
    command: replayCommand(options),
    events: sum(({ committed }) => committed),
    notified: sum(({ notified }) => notified),
    topics: Object.fromEntries(
      verdicts.map(({ committed, notified, superseded, topic, violations }) => [
        topic,
        {
          committed,
          notified,
          lost: count("lost", violations),
          doubled: count("doubled", violations),
          "out of order": count("out of order", violations),
          untrue: count("untrue", violations),
          "never notified": superseded
        }
      ])
    ),
    violations: {
      lost: count("lost"),
      doubled: count("doubled"),
      "out of order": count("out of order"),
      untrue: count("untrue"),
      "unexplained dead letter": count("unexplained dead letter"),
      trespass: fence.trespasses.length
    },
    examples: [...violations.slice(0, EXAMPLES), ...fence.trespasses.slice(0, EXAMPLES)],
    operations: Object.fromEntries(found.load.operations),
    faults: found.faults.toJSON(),
    kills: killer?.kills.toJSON() ?? {},
    steps: killer === undefined ? {} : Object.fromEntries(found.steps.map((step) => [step, killer.steps.of(step)])),
    staleSettlements: fence.turnedAway,
    calls: found.calls.toJSON(),
    attempts: found.attempts,
    deadLetters: {
      made: evidence.reduce((all, { deadLetters }) => all + deadLetters.length, 0),
      ...found.deadLetters,
      neverNotified: sum(({ superseded }) => superseded)
    },
    ...(found.toldWithoutNet !== undefined && { toldWithoutNet: found.toldWithoutNet }),
    milliseconds: {
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
      max: percentile(latencies, 1)
    },
    setup: {
      ...SETTINGS,
      events_per_request: system.eventsPerRequest,
      orchestrator_takes_arrays: system.orchestratorTakesArrays
    },
    loadSeconds: tenths(found.loadSeconds),
    seconds: tenths(found.seconds)
  }
}

const listed = (counts: Readonly<Record<string, number | boolean>>): string =>
  Object.entries(counts)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ") || "none"

const rowsOf = (report: Report): ReadonlyArray<readonly [string, string]> => {
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["committed transitions", String(report.events)],
    ["everybody concerned was notified", String(report.notified)],
    ...Object.entries(report.topics).map(([topic, counts]) => [topic, listed(counts)] as const),
    ["lost", String(report.violations.lost)],
    ["doubled", String(report.violations.doubled)],
    ["out of order", String(report.violations["out of order"])],
    ["untrue", String(report.violations.untrue)],
    [
      "broke the rules of claims",
      `${report.violations.trespass} (${report.staleSettlements} late settlements turned away)`
    ],
    ["dead letters", `${listed(report.deadLetters)}, unexplained ${report.violations["unexplained dead letter"]}`],
    ["changes", listed(report.operations)],
    ["faults injected", listed(report.faults)],
    ["processes killed", listed(report.kills)],
    ["killed at step", listed(report.steps)],
    ["calls", listed(report.calls)],
    ["attempts ended", listed(report.attempts)],
    ["commit to notified, ms", listed(report.milliseconds)],
    ["settings", listed(report.setup)],
    ["duration", `${report.seconds} s, of these ${report.loadSeconds} s under load`],
    ["seed", String(report.seed)]
  ]
  const without = report.toldWithoutNet
  const more: ReadonlyArray<readonly [string, string]> =
    without === undefined ? [] : [["notified while pg_net was off", String(without)]]
  return [...rows, ...more]
}

/** The report as a table and a verdict. */
export const printable = (report: Report): string => {
  const examples = report.examples.map((example) => `  ${JSON.stringify(example)}`)
  const verdict = report.passed
    ? "Nothing is lost, doubled or out of order."
    : ["The guarantee is broken:", ...examples, `Replay: ${report.command}`].join("\n")
  return `${table(["", ""], rowsOf(report), { widths: [27, 51] })}\n\n${verdict}`
}

/** The report as docs/benchmarks.md keeps it. */
export const section = (report: Report, where: string): string =>
  [`    ${report.command}`, markdownTable(["", ""], rowsOf(report)), `<sub>${where}</sub>`].join("\n\n")
