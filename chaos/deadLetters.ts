import { rowsOf, type Session } from "./Session.ts"

interface Open {
  readonly eventId: string
  readonly topic: string
}

/** Topics of which every event has to be handled, however late it comes, and the events that came so. */
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

/** Sends every dead letter again, each mentor's in the order of versions; those that are superseded are closed. */
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

// An event is refused once more if a later one was told whose answer was lost and that became a dead letter, too. That one
// is settled by the first round, so the second one closes the other. It takes no third.
const MOST_ROUNDS = 3

/** Redrives, and waits until all is quiet, as long as dead letters are open. */
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
