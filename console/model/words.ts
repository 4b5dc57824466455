import type { Event } from "./types.ts"

/** Microseconds of a stored time. A Date would round them away. */
const microsOf = (time: string): number =>
  Date.parse(`${time.slice(0, 19)}Z`) * 1_000 + Number(time.slice(20, 26).padEnd(6, "0"))

export const millisBetween = (from: string, to: string): number => Math.max(0, (microsOf(to) - microsOf(from)) / 1_000)

const rounded = (value: number): string => (value < 10 ? value.toFixed(1).replace(".0", "") : value.toFixed(0))

/** A duration with about three digits: 4.2 ms, 310 ms, 2.4 s, 3 min, 5 h, 2 d. */
export const duration = (millis: number): string => {
  if (millis < 999.5) return `${rounded(millis)} ms`
  const seconds = millis / 1_000
  if (seconds < 120) return `${rounded(seconds)} s`
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`
  return seconds < 86_400 ? `${rounded(seconds / 3_600)} h` : `${rounded(seconds / 86_400)} d`
}

export const ago = (time: string, now: number): string => {
  const millis = now - Date.parse(time)
  return millis < 1_000 ? "just now" : `${duration(millis).replace(/\.\d/, "")} ago`
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" })

/** The time of day, with the date unless it is today. */
export const at = (time: string, now: number): string => {
  const date = new Date(time)
  return (date.toDateString() === new Date(now).toDateString() ? clock : day).format(date)
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`

/** The first part of a uuid, or of a long key. */
export const short = (id: string): string => (id.length > 16 ? id.slice(0, 8) : id)

export const isUuid = (text: string): boolean => /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text)

const inWord = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** What changed, in the topic's words: PAUSE, or the columns that differ. */
export const changeOf = ({ oldRecord, record, transition, type }: Event): string => {
  if (transition !== undefined) return transition
  if (oldRecord === null) return type
  const names = Object.keys(record).filter((name) => inWord(record[name]) !== inWord(oldRecord[name]))
  return names.length === 0 ? type : names.map((name) => `${name}: ${inWord(record[name])}`).join(", ")
}

/** The word for an event's state. A completed event that reached nobody has its own word. */
export const stateOf = ({ reachedNobody, receipt, status }: Event): string => {
  if (status === "failed") return "dead letter"
  if (reachedNobody && receipt?.["acknowledged"] === undefined) return "reached nobody"
  return status
}

/** How many people a receipt says were notified. */
export const notifiedOf = ({ receipt }: Pick<Event, "receipt">): number | undefined => {
  const notified = receipt?.["notified"]
  return typeof notified === "number" ? notified : undefined
}
