import { rowsOf, type Session } from "./Session.ts"

interface Open {
  readonly eventId: string
}

const OPEN = `
  select event_id as "eventId" from outbox.dead_letters
  where resolution is null order by topic, key, version`

const REDRIVE = "select outbox.redrive($1) ->> 'outcome' as outcome"
const RESOLVE = "select outbox.resolve($1, 'superseded: a later version was told')"

/** Sends every dead letter again, each mentor's in the order of versions; those that are superseded are closed. */
export const redriveAll = async (
  session: Session
): Promise<{ readonly redriven: number; readonly superseded: number }> => {
  let [redriven, superseded] = [0, 0]
  for (const { eventId } of await rowsOf<Open>(session, OPEN)) {
    const [answer] = await rowsOf<{ outcome: string }>(session, REDRIVE, [eventId])
    if (answer?.outcome === "redriven") redriven += 1
    if (answer?.outcome !== "superseded") continue
    superseded += 1
    await rowsOf(session, RESOLVE, [eventId])
  }
  return { redriven, superseded }
}
