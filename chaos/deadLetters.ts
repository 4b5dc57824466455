import { rowsOf, type Session } from "./Session.ts"

interface Open {
  readonly eventId: string
  readonly topic: string
}

/** Topics whose every event must be handled, however late, and the events that were. */
export interface Late {
  readonly topics: ReadonlySet<string>
  readonly forced: Set<string>
}

const OPEN = `
  select event_id as "eventId", topic from outbox.dead_letters
  where resolution is null order by topic, key, version`

const REDRIVE = "select outbox.redrive($1, force => $2) ->> 'outcome' as outcome"
const RESOLVE = "select outbox.resolve($1, 'superseded: a later version was told')"

interface Redriven {
  readonly redriven: number
  readonly superseded: number
}

/** Redrives every dead letter, per mentor in the order of versions, and closes those that are superseded. */
const redriveOpen = async (session: Session, { forced, topics }: Late): Promise<Redriven> => {
  let [redriven, superseded] = [0, 0]
  for (const { eventId, topic } of await rowsOf<Open>(session, OPEN)) {
    const redrive = async (force: boolean) =>
      (await rowsOf<{ outcome: string }>(session, REDRIVE, [eventId, force]))[0]?.outcome
    let outcome = await redrive(false)
    if (outcome === "superseded" && topics.has(topic)) {
      forced.add(eventId)
      outcome = await redrive(true)
    }
    if (outcome === "redriven") redriven += 1
    if (outcome !== "superseded") continue
    superseded += 1
    await rowsOf(session, RESOLVE, [eventId])
  }
  return { redriven, superseded }
}

// A later event may have been notified, lost its reply and become a dead letter, too. Then the earlier one is refused
// again. The first round settles the later one and the second closes the earlier one, so two rounds are enough.
const MOST_ROUNDS = 3

/** Redrives and waits until all is quiet, while dead letters are open. */
export const redriveAll = async (session: Session, late: Late, quiet: () => Promise<void>): Promise<Redriven> => {
  const total = { redriven: 0, superseded: 0 }
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const { redriven, superseded } = await redriveOpen(session, late)
    await quiet()
    total.redriven += redriven
    total.superseded += superseded
    if (redriven + superseded === 0) break
  }
  return total
}
