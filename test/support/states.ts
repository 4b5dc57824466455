import { randomUUID } from "node:crypto"
import {
  bury,
  claim,
  claimOf,
  complete,
  createMentor,
  type Database,
  eventOf,
  expireLease,
  foreignEvent,
  release,
  setStatus,
  settle
} from "./sql.ts"

const paused = async (database: Database): Promise<{ readonly mentor: string; readonly eventId: string }> => {
  const mentor = await createMentor(database)
  await setStatus(database, mentor, "paused")
  return { mentor, eventId: (await eventOf(database, mentor)).event_id }
}

const buried = async (database: Database) => {
  const event = await paused(database)
  await bury(database, event.eventId)
  return event
}

const unreached = async (database: Database) => {
  const { eventId } = await paused(database)
  await complete(database, eventId, await claim(database, eventId), { notified: 0, notificationIds: [] })
  return eventId
}

/** Every state that the event of an id can be in, and how it comes to be there; each answers the id. */
export const inState = {
  pending: async (database) => (await paused(database)).eventId,
  processing: async (database) => {
    const { eventId } = await paused(database)
    await claim(database, eventId)
    return eventId
  },
  "processing, its lease ended": async (database) => {
    const { eventId } = await paused(database)
    await claim(database, eventId)
    await expireLease(database, eventId)
    return eventId
  },
  "pending again": async (database) => {
    const { eventId } = await paused(database)
    await release(database, eventId, await claim(database, eventId))
    return eventId
  },
  "pending, and somebody else's to send": async (database) => {
    const event = foreignEvent()
    const { token } = await claimOf(database, event)
    await release(database, event.eventId, token)
    return event.eventId
  },
  completed: async (database) => {
    const { eventId } = await paused(database)
    await settle(database, eventId)
    return eventId
  },
  "completed, and reached nobody": unreached,
  "acknowledged: it reached nobody": async (database) => {
    const eventId = await unreached(database)
    await database.rows("select outbox.resolve($1, 'told by telephone')", [eventId])
    return eventId
  },
  "pending, and cancelled": async (database) => {
    const { eventId } = await paused(database)
    await database.rows("select outbox.resolve($1, 'told by telephone')", [eventId])
    return eventId
  },
  failed: async (database) => (await buried(database)).eventId,
  "failed, and superseded": async (database) => {
    const { mentor, eventId } = await buried(database)
    await setStatus(database, mentor, "active")
    await settle(database, (await eventOf(database, mentor, 2)).event_id)
    return eventId
  },
  resolved: async (database) => {
    const { eventId } = await buried(database)
    await database.rows("select outbox.resolve($1, 'told by telephone')", [eventId])
    return eventId
  },
  redriven: async (database) => {
    const { eventId } = await buried(database)
    await database.rows("select outbox.redrive($1)", [eventId])
    return eventId
  },
  "erased after it was completed": async (database) => {
    const { eventId } = await paused(database)
    await settle(database, eventId)
    await database.rows("select outbox.erase($1)", [eventId])
    return eventId
  },
  "erased after it was resolved": async (database) => {
    const { eventId } = await buried(database)
    await database.rows("select outbox.resolve($1)", [eventId])
    await database.rows("select outbox.erase($1)", [eventId])
    return eventId
  },
  unknown: () => Promise.resolve(randomUUID())
} as const satisfies Record<string, (database: Database) => Promise<string>>

export type EventState = keyof typeof inState
