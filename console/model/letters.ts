import { listEvents } from "./api.ts"
import { forgetHistories, health, historyOf, readHistories } from "./live.ts"
import type { Event } from "./types.ts"
import { stateOf } from "./words.ts"

const MOST_READ = 2_000
const MOST_FOUND = 500

/** Reads on until as many are found as there are, within limits: `wanted` counts those of all topics. */
const collect = async (
  topic: string,
  status: string,
  wanted: number,
  choose: (events: ReadonlyArray<Event>) => Promise<ReadonlyArray<Event>>
) => {
  const found: Array<Event> = []
  let cursor: string | null = ""
  let seen = 0
  do {
    const page = await listEvents(topic, { status, limit: "100", ...(cursor !== "" && { cursor }) })
    found.push(...(await choose(page.events)))
    seen += page.events.length
    cursor = page.nextCursor
  } while (cursor !== null && seen < MOST_READ && found.length < Math.min(wanted, MOST_FOUND))
  return { events: found, isCut: cursor !== null && found.length < wanted }
}

const openOnes = async (events: ReadonlyArray<Event>) => {
  await readHistories(events)
  return events.filter((event) => historyOf(event)?.deadLetter?.resolution === null)
}

const reachedNobody = async (events: ReadonlyArray<Event>) =>
  events.filter((event) => stateOf(event) === "reached nobody")

let openWhenRead: number | undefined

/**
 * What needs a person: open dead letters, and completed events that reached nobody. The list does not say which dead
 * letters are open, so this reads the history of each, once.
 */
export const readLetters = async (topic: string) => {
  const queue = health.value?.queue
  // Somebody else may have resolved one, which does not change its event.
  if (openWhenRead !== queue?.deadLettersOpen) forgetHistories()
  openWhenRead = queue?.deadLettersOpen
  const open = await collect(topic, "failed", queue?.deadLettersOpen ?? Infinity, openOnes)
  const nobody =
    queue?.withoutRecipients === 0
      ? { events: [], isCut: false }
      : await collect(topic, "completed", queue?.withoutRecipients ?? Infinity, reachedNobody)
  return { events: [...open.events, ...nobody.events], isCut: open.isCut || nobody.isCut }
}
