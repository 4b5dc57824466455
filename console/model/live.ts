import { batch, computed, effect, signal } from "@preact/signals"
import { getConfig, getEvent, getHealth, listEvents, Refused } from "./api.ts"
import { figuresOf, MINUTES } from "./figures.ts"
import { route } from "./route.ts"
import type { Config, Event, Health, History } from "./types.ts"

export const config = signal<Config | undefined>(undefined)
export const health = signal<Health | undefined>(undefined)
export const recent = signal<ReadonlyArray<Event> | undefined>(undefined)
const problems = signal<ReadonlyArray<Refused>>([])
/** Why the page may be out of date: the project or this process gave an error. */
export const problem = computed(() => problems.value[0])
export const isPaused = signal(false)
export const now = signal(Date.now())
/** Counts up after each change by a person, so that every list is read again. */
export const changes = signal(0)

export const topics = computed(() => health.value?.queue?.topics.map(({ topic }) => topic) ?? [])
export const topic = computed(() => route.value.params.get("topic") ?? topics.value[0] ?? "pause-status")

const completed = signal<ReadonlyMap<string, Event>>(new Map())
export const isCut = signal(false)
export const figures = computed(() => figuresOf(completed.value.values(), now.value))

const histories = signal<ReadonlyMap<string, History>>(new Map())
const nameOf = ({ attemptCount, eventId, failures, status }: Event) => [eventId, status, attemptCount, failures].join()
const MOST_KEPT = 2_000

/** An event's history, if it was read since the event changed. */
export const historyOf = (event: Event): History | undefined => histories.value.get(nameOf(event))

const keepHistories = (read: ReadonlyArray<History>): void => {
  const kept = [...histories.value, ...read.map((history) => [nameOf(history), history] as const)]
  histories.value = new Map(kept.slice(-MOST_KEPT))
}

export const keepHistory = (history: History): void => keepHistories([history])

export const forgetHistories = (): void => void (histories.value = new Map())

/** Reads the missing histories of these events, a few at a time. */
export const readHistories = async (events: ReadonlyArray<Event>): Promise<void> => {
  const queue = events.filter((event) => historyOf(event) === undefined)
  const read: Array<History> = []
  const work = async () => {
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      // It may have been erased in the meantime.
      await getEvent(event.topic, event.eventId).then(
        (history) => void read.push(history),
        () => {}
      )
    }
  }
  await Promise.all(Array.from({ length: 4 }, work))
  // All at once, because each change of a signal draws the page again.
  if (read.length > 0) keepHistories(read)
}

const SHOWN = 15

const readRecent = async () => {
  const asked = topic.value
  const { events } = await listEvents(asked, { limit: "50" })
  if (asked !== topic.value) return
  recent.value = events
  await readHistories(events.slice(0, SHOWN).filter(({ status }) => status === "completed" || status === "failed"))
}

const MOST_PAGES = 5

const readCompleted = async () => {
  const asked = topic.value
  const since = Date.now() - MINUTES * 60_000
  const found = new Map(completed.value)
  let cursor: string | null = ""
  let pages = 0
  let isKnown = false
  while (cursor !== null && !isKnown && pages++ < MOST_PAGES) {
    const page = await listEvents(asked, { status: "completed", limit: "100", ...(cursor !== "" && { cursor }) })
    const last = page.events.at(-1)
    isKnown = last === undefined || found.has(last.eventId) || Date.parse(last.createdAt) < since
    for (const event of page.events) found.set(event.eventId, event)
    cursor = page.nextCursor
  }
  if (asked !== topic.value) return
  for (const [id, { completedAt }] of found) if (Date.parse(completedAt ?? "") < since) found.delete(id)
  batch(() => {
    isCut.value = isCut.value ? found.size >= MOST_PAGES * 100 : !isKnown && cursor !== null
    completed.value = found
  })
}

const readHealth = async () => {
  health.value = await getHealth()
}

const SLOWEST = 15_000

/** Repeats the work, but not while the page is hidden, and less often while it fails. */
const repeatedly = (work: () => Promise<void>, everyMs: () => number): (() => void) => {
  let failures = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let turn = 0
  let mine: Refused | undefined
  const report = (found: Refused | undefined) => {
    if (found !== mine)
      problems.value = [...problems.value.filter((other) => other !== mine), ...(found ? [found] : [])]
    mine = found
  }
  const run = async (own: number) => {
    if (!document.hidden && !isPaused.value) {
      try {
        await work()
        failures = 0
        report(undefined)
      } catch (cause) {
        failures++
        report(cause instanceof Refused ? cause : new Refused(0, "defect", String(cause)))
      }
    }
    if (own === turn) timer = setTimeout(run, Math.min(SLOWEST, everyMs() * 2 ** failures), own)
  }
  const again = () => {
    clearTimeout(timer)
    void run(++turn)
  }
  addEventListener("visibilitychange", () => (document.hidden ? undefined : again()))
  return again
}

const pace = (): number => config.value?.everyMs ?? 3_000

/** Starts reading. Reads everything again when the topic changes, or after a change by a person. */
export const start = (): void => {
  const loops = [
    repeatedly(readRecent, pace),
    repeatedly(readCompleted, () => pace() * 5),
    repeatedly(readHealth, () => pace() * 5)
  ]
  let read = ""
  effect(() => {
    const name = topic.value
    void changes.value
    void isPaused.value
    if (name !== read) {
      recent.value = undefined
      completed.value = new Map()
      isCut.value = false
    }
    read = name
    for (const again of loops) queueMicrotask(again)
  })
  setInterval(() => (now.value = Date.now()), 1_000)
  void getConfig().then(
    (found) => (config.value = found),
    (cause) => (problems.value = [cause])
  )
}
