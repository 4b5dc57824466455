import { listEvents } from "./api.ts"
import { forgetHistories, health, historyOf, readHistories } from "./live.ts"
import type { Event } from "./types.ts"
import { stateOf } from "./words.ts"

const MOST = 500

const collect = async (topic: string, status: string, most: number, isWanted: (event: Event) => boolean) => {
  const found: Array<Event> = []
  let cursor: string | null = ""
  let seen = 0
  while (cursor !== null && seen < most) {
    const page = await listEvents(topic, { status, limit: "100", ...(cursor !== "" && { cursor }) })
    found.push(...page.events.filter(isWanted))
    seen += page.events.length
    cursor = page.nextCursor
  }
  return { events: found, isCut: cursor !== null }
}

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
  const failed = await collect(topic, "failed", MOST, () => true)
  await readHistories(failed.events)
  const open = failed.events.filter((event) => historyOf(event)?.deadLetter?.resolution === null)
  const nobody =
    queue?.withoutRecipients === 0
      ? { events: [], isCut: false }
      : await collect(topic, "completed", MOST * 2, (event) => stateOf(event) === "reached nobody")
  return {
    events: [...open, ...nobody.events],
    isCut: failed.isCut || (nobody.isCut && nobody.events.length < (queue?.withoutRecipients ?? 0))
  }
}
