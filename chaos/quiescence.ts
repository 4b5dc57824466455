import { setTimeout as wait } from "node:timers/promises"
import { ChaosError, rowsOf, type Session } from "./Session.ts"

const LOOK_AGAIN_MILLISECONDS = 200

export interface Backlog {
  readonly unsettled: number
  readonly deadLetters: number
}

export const readBacklog = async (session: Session): Promise<Backlog> => {
  const [backlog] = await rowsOf<Backlog>(
    session,
    `select
       (select count(*)::int from outbox.events where status in ('pending', 'processing')) as unsettled,
       (select count(*)::int from outbox.dead_letters where resolution is null) as "deadLetters"`
  )
  return backlog ?? { unsettled: 0, deadLetters: 0 }
}

const PENDING = `
  select status, count(*)::int as events, max(attempts) as "mostAttempts",
    min(next_attempt_at) - clock_timestamp() < '0' as overdue, left(last_error, 200) as "lastError"
  from outbox.events
  where status in ('pending', 'processing')
  group by status, left(last_error, 200)
  order by events desc
  limit 5`

const describePending = async (session: Session): Promise<string> =>
  (await rowsOf(session, PENDING)).map((row) => JSON.stringify(row)).join("\n")

/** Waits until no event is pending or processing and no call is in progress. Fails with the events that are left. */
export const quiescent = async (
  session: Session,
  isIdle: () => boolean,
  seconds: number,
  look: (backlog: Backlog) => void
): Promise<void> => {
  const deadline = performance.now() + seconds * 1_000
  for (;;) {
    const backlog = await readBacklog(session)
    look(backlog)
    if (backlog.unsettled === 0 && isIdle()) return
    if (performance.now() > deadline) {
      const pending = await describePending(session)
      throw new ChaosError(`${backlog.unsettled} events are not settled ${seconds} s after the load:\n${pending}`)
    }
    await wait(LOOK_AGAIN_MILLISECONDS)
  }
}
