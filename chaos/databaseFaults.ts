import { setTimeout as wait } from "node:timers/promises"
import type { Random } from "./random.ts"
import { rowsOf, type Session } from "./Session.ts"
import type { Tally } from "./Tally.ts"

const REFUSED_MILLISECONDS = [500, 4_000] as const

// This has the effect of a clock that was set back: what was written before is now in the future.
const SET_BACK = [
  `update outbox.events
   set next_attempt_at = next_attempt_at + interval '3 hours', first_failed_at = first_failed_at + interval '3 hours',
     last_failed_at = last_failed_at + interval '3 hours'
   where status = 'pending' and next_attempt_at < 'infinity'`,
  `update outbox.events set lease_expires_at = lease_expires_at + interval '3 hours'
   where status = 'processing'`,
  "update outbox.alerts set opened_at = opened_at + interval '3 hours' where closed_at is null"
]

/** Moves queued timestamps three hours ahead, as if the clock of Postgres had been set back. */
export const setClockBack = async (session: Session, injected: Tally): Promise<void> => {
  injected.add("database clock set back")
  for (const statement of SET_BACK) await rowsOf(session, statement)
}

/** Makes pg_net refuse every request for a while, as after a restore that lost its grants. */
export const refuseRequests = async (admin: Session, random: Random, injected: Tally): Promise<void> => {
  injected.add("pg_net refuses")
  await rowsOf(admin, "revoke usage on schema net from public, postgres")
  await wait(random.int(...REFUSED_MILLISECONDS))
  await rowsOf(admin, "grant usage on schema net to public, postgres")
}
