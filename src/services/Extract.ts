import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { AnyPayload } from "../schema/Envelope.ts"
import type { EventId, EventTime } from "../schema/Identifiers.ts"
import type { OutboxEvent } from "./DedupeStore.ts"
import { eventIdFromKey } from "./EventIdentity.ts"
import { InvalidPayload } from "./Payload.ts"

/**
 * What a topic reads in a payload that is an event.
 *
 * **Shape** `key` is what events are ordered by; `occurredAt` is raw text, undefined when the payload does not say it;
 * `identity` tells events of a stock webhook apart, and is topic, key and time when it is left out; `event` is what the
 * topic's `handle` gets, with EventMeta.
 */
export interface Reading<Fields> {
  readonly _tag: "Event"
  readonly key: string
  readonly occurredAt: EventTime | undefined
  readonly identity?: string
  readonly event: Fields
}

/** A legal payload that is no event. **Shape** `reason` says why; `isUnexpected` makes its log line a warning. */
export interface NoChange {
  readonly _tag: "NoChange"
  readonly key: string
  readonly reason: string
  readonly isUnexpected?: boolean
}

/**
 * What the engine adds to a topic's event.
 *
 * **Shape** `eventId` is the idempotency key of every side effect: `eventId/step` when there are several. `version` counts
 * the changes of a key and is missing for a stock webhook. `source` is `outbox` (our trigger) or `webhook`. `force` is true
 * when a person redrove the event although a newer one was handled. `redrive` counts its redrives, from 1 on.
 * `traceparent` names its trace: send it as the header of that name.
 */
export interface EventMeta {
  readonly eventId: EventId
  readonly occurredAt: EventTime
  readonly version?: number
  readonly source: "outbox" | "webhook"
  readonly force?: boolean
  readonly redrive?: number
  readonly traceparent?: string
}

/** An event, ready to be handled. **Shape** `entry` is what the claim store gets, `event` what `handle` gets. */
export interface Extracted<Event> {
  readonly _tag: "Event"
  readonly entry: OutboxEvent
  readonly event: Event
}

/** Nothing in the payload says when the change happened, so it cannot be distinguished from another one. */
export class NoEventTime extends Data.TaggedError("NoEventTime") {
  override readonly message =
    "The payload says nowhere when the change happened: send event_id and timestamp, " +
    "or add an updated_at timestamptz column that every UPDATE sets"
}

/**
 * Makes the event of a payload, or says why there is none.
 *
 * Its id is the outbox's `event_id`, which must be the signed `webhook-id`; else the signed `webhook-id`; else it is
 * derived from the reading's identity, which is all that a stock dashboard webhook offers.
 *
 * **Fails with** NoEventTime; InvalidPayload when `event_id` is not the signed one.
 */
export const extract = Effect.fnUntracedEager(function* <Fields extends object>(
  topic: string,
  payload: AnyPayload,
  reading: Reading<Fields>,
  webhookId: string | undefined
): Effect.fn.Return<Extracted<Fields & EventMeta>, InvalidPayload | NoEventTime> {
  const { event_id, force, old_record, record, redrive, traceparent, version } = payload
  const { key, occurredAt } = reading
  if (occurredAt === undefined) return yield* new NoEventTime()
  const identity = reading.identity ?? `${topic} ${key} ${occurredAt}`
  const eventId = yield* eventIdFromKey(event_id ?? webhookId ?? identity)
  if (event_id !== undefined && webhookId !== undefined && (yield* eventIdFromKey(webhookId)) !== eventId) {
    return yield* new InvalidPayload({
      issues: [{ path: ["event_id"], message: "Expected the signed webhook-id" }]
    })
  }
  const source = event_id === undefined || version === undefined ? "webhook" : "outbox"
  const known = { eventId, occurredAt, source, ...(version !== undefined && { version }) } as const
  return {
    _tag: "Event",
    entry: { ...known, topic, key, record, oldRecord: old_record ?? null },
    event: {
      ...reading.event,
      ...known,
      ...(force !== undefined && { force }),
      ...(redrive !== undefined && { redrive }),
      ...(traceparent !== undefined && { traceparent })
    }
  }
})
