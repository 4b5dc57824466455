import type { DeliveryLog } from "./handlerLog.ts"
import { bold, cyan, dim, green, indent, red, screenWidth } from "./screen.ts"
import { table, wrap } from "./table.ts"
import type { Change, Step } from "./timeline.ts"

type Words = readonly [who: string, what: (detail: string) => string]

const WORDS: Readonly<Record<Step["kind"], Words>> = {
  committed: ["PostgreSQL", (detail) => `committed: event in the outbox, ${detail || "webhook with pg_net"}`],
  sent: ["PostgreSQL", (detail) => `webhook signed and sent, ${detail}`],
  delivered: ["handler", (detail) => (detail === "" ? "webhook delivered, its signature is valid" : detail)],
  claimed: ["outbox", () => "claimed: only this handler may process it now"],
  accepted: ["orchestrator", () => "accepted the event"],
  notified: ["notifications", (detail) => `written for ${detail}`],
  released: ["outbox", (detail) => `given back: ${detail}`],
  failed: ["outbox", (detail) => `a dead letter: ${detail}`],
  completed: ["outbox", () => "completed: the orchestrator's receipt is kept"],
  note: ["handler", (detail) => detail]
}

const INDENT = 10
// The margin, the columns before the last one, and the space between them.
const BEFORE_LAST_COLUMN = 27

const since = (zero: number, { at, isRough }: Step): string =>
  isRough === true ? `~${Math.round(at - zero)}` : (at - zero).toFixed(1)

const PARTICIPLES: Readonly<Record<string, string>> = { PAUSE: "paused", RESUME: "resumed" }

/** What happened to whom, for a reader who does not know the parts. */
export const headline = ({ mentor, transition, zero = 0 }: Change, steps: ReadonlyArray<Step>): string => {
  const notified = joinNotified(steps).find(({ kind }) => kind === "notified")
  const done = `${mentor} was ${PARTICIPLES[transition] ?? "changed"}`
  if (notified === undefined) return `${done}. There was nobody to notify.`
  const names = (notified.detail ?? "").split(", ").join(" and ")
  return `${done}. ${names} were notified ${(notified.at - zero).toFixed(0)} ms after the commit.`
}

/** One more line for the steps, about something that followed from the event. */
export interface Aftermath {
  readonly at: number
  readonly who: string
  readonly what: string
}

/** The steps of one event, one per line, then what followed. */
export const describeSteps = (
  { zero = 0 }: Change,
  steps: ReadonlyArray<Step>,
  aftermath: ReadonlyArray<Aftermath> = []
): string => {
  const rows = joinNotified(steps).map((step) => {
    const [who, what] = WORDS[step.kind]
    return [since(zero, step), who, what(step.detail ?? "")]
  })
  const after = aftermath.map(({ at, what, who }) => [(at - zero).toFixed(1), who, what])
  return table(["ms", "who", "what"], [...rows, ...after], {
    rightAligned: [0],
    widths: [8, 13, screenWidth() - BEFORE_LAST_COLUMN],
    styleHead: dim,
    styleCell: (text, column) => (column === 0 ? cyan(text) : text)
  })
}

const DIRECTIONS: Readonly<Record<string, string>> = { PAUSE: "active → paused", RESUME: "paused → active" }

const clock = (milliseconds: number): string => new Date(milliseconds).toTimeString().slice(0, 8)

interface Phrase {
  readonly text: string
  readonly style: (text: string) => string
}

const plain = (text: string): string => text

const phraseOf = (zero: number, step: Step): Phrase => {
  const { detail = "", kind } = step
  const at = `${since(zero, step)} ms`
  if (kind === "note") return { text: `${at} ${detail}`, style: red }
  if (kind === "released") return { text: `${at} released: ${detail}`, style: red }
  if (kind === "failed") return { text: `${at} a dead letter until somebody redrives it: ${detail}`, style: red }
  return { text: `${at} ${kind} ${detail}`.trimEnd(), style: kind === "completed" ? green : plain }
}

// Those who were notified were notified in one transaction, so they share the first one's time.
const joinNotified = (steps: ReadonlyArray<Step>): ReadonlyArray<Step> => {
  const names = steps.flatMap(({ detail = "", kind }) => (kind === "notified" ? [detail] : [])).toSorted()
  const first = steps.findIndex(({ kind }) => kind === "notified")
  return steps
    .map((step, index) => (index === first ? Object.assign({}, step, { detail: names.join(", ") }) : step))
    .filter(({ kind }, index) => kind !== "notified" || index === first)
}

const SEPARATOR = " · "

/** Joins phrases, as many on a line as fit. */
const flow = (phrases: ReadonlyArray<Phrase>, width: number): string => {
  const lines: Array<string> = []
  let used = Infinity
  for (const { style, text } of phrases) {
    for (const part of wrap(text, width)) {
      const fits = used + SEPARATOR.length + part.length <= width
      used = fits ? used + SEPARATOR.length + part.length : part.length
      if (fits) lines[lines.length - 1] += dim(SEPARATOR) + style(part)
      else lines.push(style(part))
    }
  }
  return lines.join("\n")
}

/** The steps of one event in a line or two. */
export const describeChange = (change: Change, steps: ReadonlyArray<Step>): string => {
  const { eventId, isContinued, mentor, transition, version, zero = 0 } = change
  const direction = DIRECTIONS[transition] ?? transition
  const origin = version === undefined ? "from elsewhere" : `version ${version}`
  const event = `event ${eventId.slice(0, 8)}${isContinued ? ", continued" : ""}`
  const words = [clock(steps[0]?.at ?? zero), mentor, direction, origin]
  const fits = [...words, event].join("  ").length <= screenWidth()
  const [time = "", name = "", ...others] = words
  const head = [dim(time), bold(name), ...others, ...(fits ? [dim(event)] : [])].join("  ")
  const phrases = joinNotified(steps).map((step) => phraseOf(zero, step))
  return `${head}\n${indent(flow(phrases, screenWidth() - INDENT), INDENT)}`
}

const tellDelivery = ({ detail = "", events, outcome }: DeliveryLog): string => {
  if (outcome === "no_change")
    return `A webhook without a pause or resume (${detail}), answered 200: nobody is notified`
  return events === undefined
    ? `A webhook was refused (${outcome}): ${detail}`
    : `One webhook brought ${events} events; each is settled on its own`
}

/** A delivery that is not about a single event: refused, without a change, or with several events. */
export const describeDelivery = (log: DeliveryLog): string => {
  const { startedAt } = log
  const text = tellDelivery(log)
  return `${dim(clock(startedAt))}  ${wrap(text, screenWidth() - INDENT).join(`\n${" ".repeat(INDENT)}`)}`
}
