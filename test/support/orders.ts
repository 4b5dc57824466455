import { randomUUID } from "node:crypto"
import type { Database } from "./pipeline.ts"
import { sharedStack } from "./stack.ts"

/** A pause of a mentor as the handler orders it to be told, of which nobody has heard. */
export const newEvent = (mentorId: string) => ({
  eventId: randomUUID(),
  mentorId,
  transition: "PAUSE",
  oldStatus: "active",
  newStatus: "paused",
  occurredAt: "2026-11-22T09:30:00.123456Z",
  version: 1,
  source: "outbox"
})

/** What makes a resume of it. */
export const resumed = { transition: "RESUME", oldStatus: "paused", newStatus: "active" }

/** Posts an event, or an array of them, to the shared stack's orchestrator. */
export const order = (event: unknown, headers: Readonly<Record<string, string>>) =>
  fetch(sharedStack().orchestratorUrl, {
    method: "POST",
    body: JSON.stringify(event),
    headers: { "content-type": "application/json", ...headers }
  })

/** What the coordinators of a mentor were told, by id. */
export const notificationsOf = (database: Database, mentorId: string) =>
  database.rows<{ id: string; coordinator_id: string; event_id: string; transition: string; version: number }>(
    `select id, coordinator_id, event_id, transition, version::int
     from public.notifications where mentor_id = $1 order by id`,
    [mentorId]
  )
