import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Caller } from "../schema/Caller.ts"
import type { EventChangeReply } from "../schema/EventReplies.ts"
import { Cursor, type EventChange, type EventQuery } from "../schema/EventRequests.ts"
import type { StoredEvent } from "../schema/Events.ts"
import type { EventId } from "../schema/Identifiers.ts"
import { NotAllowed } from "./Access.ts"
import { EventStore } from "./EventStore.ts"
import { inRecords, managedTopic, type ManagedTopic } from "./ManagedTopics.ts"

// The words are the operation ids of the contract.
const coordinatorMay: ReadonlySet<string> = new Set(["listEvents", "getEvent", "getOpenApi"])

const isFor = (caller: Caller["Service"], operation: string): boolean => {
  if (caller.kind === "monitor") return caller.may === operation
  return caller.kind !== "coordinator" || coordinatorMay.has(operation)
}

/**
 * Lets a caller do what their role is for: the project and admins everything, coordinators look at events, a monitor one
 * thing.
 *
 * **Fails with** NotAllowed.
 */
export const permit = (caller: Caller["Service"], operation: string): Effect.Effect<void, NotAllowed> =>
  isFor(caller, operation)
    ? Effect.void
    : Effect.fail(new NotAllowed({ needs: caller.kind === "monitor" ? "project" : "admin" }))

const eventsPerPage = 50
const encodeCursor = Schema.encodeSync(Schema.NullOr(Cursor))

// What a topic does not show a coordinator does not exist to them.
const scopeOf = (caller: Caller["Service"]) => (caller.kind === "coordinator" ? caller.userId : undefined)

const inWordsOf =
  ({ wordsOf }: ManagedTopic) =>
  <Event extends StoredEvent>(event: Event) => ({ ...event, ...wordsOf(event) })

/**
 * The events of a topic that the caller may see, newest first.
 *
 * **Fails with** TopicUnknown, InvalidQuery, EventStoreUnavailable.
 */
export const listEvents = Effect.fn("listEvents")(function* (name: string, query: EventQuery) {
  const store = yield* EventStore
  const topic = yield* managedTopic(name)
  const userId = scopeOf(yield* Caller)
  const { events, next } = yield* store.list({
    ...(yield* inRecords(topic, query)),
    topic: name,
    limit: query.limit ?? eventsPerPage,
    ...(userId !== undefined && { userId })
  })
  return { events: events.map(inWordsOf(topic)), nextCursor: encodeCursor(next) }
})

/**
 * An event with its attempts and its dead letter.
 *
 * **Fails with** TopicUnknown, EventUnknown, EventStoreUnavailable.
 */
export const getEvent = Effect.fn("getEvent")(function* (name: string, eventId: EventId) {
  const store = yield* EventStore
  const topic = yield* managedTopic(name)
  return inWordsOf(topic)(yield* store.get(name, eventId, scopeOf(yield* Caller)))
})

/**
 * Redrives, resolves or cancels an event. Goes on if the caller hangs up.
 *
 * **Fails with** TopicUnknown, EventUnknown, RedriveSuperseded, EventNotFailed, EventInFlight, EventStoreUnavailable.
 */
export const changeEvent = Effect.fn("changeEvent")(function* (name: string, eventId: EventId, change: EventChange) {
  const store = yield* EventStore
  const topic = yield* managedTopic(name)
  const { event, outcome } =
    change.status === "pending"
      ? yield* store.redrive(name, eventId, change)
      : yield* store.resolve(name, eventId, change)
  const reply: EventChangeReply = {
    outcome,
    dryRun: change.dryRun ?? false,
    event: inWordsOf(topic)(event)
  }
  return reply
}, Effect.uninterruptible)

/**
 * Erases a settled event, except for what prevents it from being handled again. Goes on if the caller hangs up.
 *
 * **Fails with** TopicUnknown, EventUnknown, EventNotSettled, EventStoreUnavailable.
 */
export const eraseEvent = Effect.fn("eraseEvent")(function* (name: string, eventId: EventId) {
  const store = yield* EventStore
  yield* managedTopic(name)
  return yield* store.erase(name, eventId)
}, Effect.uninterruptible)
