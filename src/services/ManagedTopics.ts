import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { EventWords } from "../schema/EventReplies.ts"
import type { EventQuery, RecordFilter } from "../schema/EventRequests.ts"
import type { StoredEvent } from "../schema/Events.ts"
import type { Issue } from "../schema/Replies.ts"
import type { Direction } from "../schema/Transition.ts"

/** Events of this topic are managed elsewhere, or there is no such topic. */
export class TopicUnknown extends Data.TaggedError("TopicUnknown") {
  override readonly message = "This function does not serve this topic"
}

/** The query string is not what this endpoint takes. */
export class InvalidQuery extends Data.TaggedError("InvalidQuery")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "The query is invalid; see issues"
}

/**
 * A topic whose events people manage.
 *
 * **Shape** `transitions` is what the record of each transition has, null for a topic whose events are none; `wordsOf` is
 * what an event is called beside the names that all topics share; `isOptional` when the topic need not be declared.
 */
export interface ManagedTopic {
  readonly name: string
  readonly transitions: Readonly<Record<Direction, RecordFilter>> | null
  readonly wordsOf: (event: StoredEvent) => EventWords
  readonly isOptional?: boolean
}

/** A topic without its own names. */
export const plain = (name: string): ManagedTopic => ({ name, transitions: null, wordsOf: () => ({}) })

/** The topics that are served here. */
export class ManagedTopics extends Context.Service<ManagedTopics, ReadonlyArray<ManagedTopic>>()(
  "pause-status-webhook-handler/services/ManagedTopics"
) {}

/**
 * The topic of a name.
 *
 * **Fails with** TopicUnknown.
 */
export const managedTopic = Effect.fnUntraced(function* (name: string) {
  const topics = yield* ManagedTopics
  return topics.find((topic) => topic.name === name) ?? (yield* new TopicUnknown())
})

/**
 * What a query asks for, with its transition as what the record of one has.
 *
 * **Fails with** InvalidQuery.
 */
export const inRecords = (
  { transitions }: ManagedTopic,
  { transition, ...query }: EventQuery
): Effect.Effect<Omit<EventQuery, "transition">, InvalidQuery> => {
  if (transition === undefined) return Effect.succeed(query)
  const refuse = (message: string) => Effect.fail(new InvalidQuery({ issues: [{ path: ["transition"], message }] }))
  if (transitions === null) return refuse("This topic has no transitions")
  if (query.record !== undefined) return refuse("Expected either transition or record")
  return Effect.succeed({ ...query, record: transitions[transition] })
}
