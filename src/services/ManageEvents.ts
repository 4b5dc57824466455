import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Caller } from "../schema/Caller.ts"
import type { EventChangeReply } from "../schema/EventReplies.ts"
import { Cursor, type EventChange, type EventQuery } from "../schema/EventRequests.ts"
import type { EventId } from "../schema/Identifiers.ts"
import { NotAllowed } from "./Access.ts"
import { EventStore } from "./EventStore.ts"

// The words are the operation ids of the contract.
const coordinatorMay: ReadonlySet<string> = new Set(["listEvents", "getEvent", "getOpenApi"])

/**
 * Lets a caller do what their role is for: the project and admins everything, coordinators look at events.
 *
 * **Fails with** NotAllowed.
 */
export const permit = (caller: Caller["Service"], operation: string): Effect.Effect<void, NotAllowed> =>
  caller.kind !== "coordinator" || coordinatorMay.has(operation)
    ? Effect.void
    : Effect.fail(new NotAllowed({ needs: "admin" }))

const eventsPerPage = 50
const encodeCursor = Schema.encodeSync(Schema.NullOr(Cursor))

// Another coordinator's mentor is no business of theirs: to them their events do not exist.
const scopeOf = (caller: Caller["Service"]) => (caller.kind === "coordinator" ? caller.userId : undefined)

/**
 * The events that the caller may see, newest first.
 *
 * **Fails with** EventStoreUnavailable.
 */
export const listEvents = Effect.fn("listEvents")(function* (query: EventQuery) {
  const store = yield* EventStore
  const coordinatorId = scopeOf(yield* Caller)
  const { events, next } = yield* store.list({
    ...query,
    limit: query.limit ?? eventsPerPage,
    ...(coordinatorId !== undefined && { coordinatorId })
  })
  return { events, nextCursor: encodeCursor(next) }
})

/**
 * An event with its attempts and its dead letter.
 *
 * **Fails with** EventUnknown, EventStoreUnavailable.
 */
export const getEvent = Effect.fn("getEvent")(function* (eventId: EventId) {
  const store = yield* EventStore
  return yield* store.get(eventId, scopeOf(yield* Caller))
})

/**
 * Redrives, resolves or cancels an event. A caller who hangs up does not stop it.
 *
 * **Fails with** EventUnknown, RedriveSuperseded, EventNotFailed, EventInFlight, EventStoreUnavailable.
 */
export const changeEvent = Effect.fn("changeEvent")(function* (eventId: EventId, change: EventChange) {
  const store = yield* EventStore
  const changed =
    change.status === "pending" ? yield* store.redrive(eventId, change) : yield* store.resolve(eventId, change)
  const reply: EventChangeReply = { ...changed, dryRun: change.dryRun ?? false }
  return reply
}, Effect.uninterruptible)

/**
 * Forgets a settled event, but for what keeps it from being told again. A caller who hangs up does not stop it.
 *
 * **Fails with** EventUnknown, EventNotSettled, EventStoreUnavailable.
 */
export const eraseEvent = Effect.fn("eraseEvent")(function* (eventId: EventId) {
  const store = yield* EventStore
  return yield* store.erase(eventId)
}, Effect.uninterruptible)
