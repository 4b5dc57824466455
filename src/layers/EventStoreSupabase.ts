import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { EventHistory, PagePosition, StoredEvent } from "../schema/Events.ts"
import { QueueFigures, TopicFigures } from "../schema/Health.ts"
import type { EventId } from "../schema/Identifiers.ts"
import { EventInFlight } from "../services/DedupeStore.ts"
import {
  EventNotFailed,
  EventNotSettled,
  EventStore,
  EventStoreUnavailable,
  EventUnknown,
  RedriveSuperseded
} from "../services/EventStore.ts"
import { SupabaseRest } from "./SupabaseRest.ts"

const refused = <const Outcomes extends ReadonlyArray<string>>(outcomes: Outcomes) =>
  Schema.Struct({ outcome: Schema.Literals(outcomes) })
const changed = <const Outcomes extends ReadonlyArray<string>>(outcomes: Outcomes) =>
  Schema.Struct({ outcome: Schema.Literals(outcomes), event: StoredEvent })

const decodePage = Schema.decodeUnknownEffect(
  Schema.Struct({ events: Schema.Array(StoredEvent), next: Schema.NullOr(PagePosition) })
)
const decodeHistory = Schema.decodeUnknownEffect(Schema.NullOr(EventHistory))
const decodeRedriven = Schema.decodeUnknownEffect(
  Schema.Union([
    changed(["redriven", "would_redrive", "already_pending"]),
    refused(["superseded", "not_failed", "unknown"])
  ])
)
const decodeResolved = Schema.decodeUnknownEffect(
  Schema.Union([
    changed(["resolved", "would_resolve", "already_resolved", "cancelled", "would_cancel"]),
    Schema.Struct({ outcome: Schema.Literal("in_flight"), retryAfterSeconds: Schema.Finite }),
    refused(["not_failed", "unknown"])
  ])
)
const decodeErased = Schema.decodeUnknownEffect(refused(["erased", "not_settled", "unknown"]))
const decodeHealth = Schema.decodeUnknownEffect(
  Schema.Struct({
    ...QueueFigures.fields,
    vault: Schema.Struct({ functionUrl: Schema.Boolean, webhookSecret: Schema.Boolean })
  })
)

const decodeFigures = Schema.decodeUnknownEffect(Schema.Struct({ topics: Schema.Array(TopicFigures) }))

const refusal = {
  unknown: (eventId: EventId) => new EventUnknown({ eventId }),
  not_failed: (eventId: EventId) => new EventNotFailed({ eventId }),
  superseded: (eventId: EventId) => new RedriveSuperseded({ eventId }),
  not_settled: (eventId: EventId) => new EventNotSettled({ eventId })
}

/** The outbox in Postgres: each method is one SQL function, one round trip, one transaction. */
export const layer = Layer.effect(
  EventStore,
  Effect.gen(function* () {
    const { rpc } = yield* SupabaseRest

    const call = <A>(
      operation: EventStoreUnavailable["operation"],
      name: string,
      args: Record<string, unknown>,
      decode: (data: unknown) => Effect.Effect<A, Schema.SchemaError>
    ) => Effect.mapError(rpc(name, args, decode), ({ detail }) => new EventStoreUnavailable({ operation, detail }))

    return EventStore.of({
      list: Effect.fn("EventStore.list")(({ cursor, ...selection }) =>
        call(
          "list",
          "outbox_list_events",
          { query: { ...selection, ...(cursor !== undefined && { after: cursor }) } },
          decodePage
        )
      ),
      get: Effect.fn("EventStore.get")(function* (topic, eventId, userId) {
        const args = { topic, event_id: eventId, user_id: userId ?? null }
        const found = yield* call("get", "outbox_get_event", args, decodeHistory)
        return found ?? (yield* refusal.unknown(eventId))
      }),
      redrive: Effect.fn("EventStore.redrive")(function* (topic, eventId, { dryRun = false, force = false }) {
        const args = { topic, event_id: eventId, force, dry_run: dryRun }
        const answer = yield* call("redrive", "outbox_redrive", args, decodeRedriven)
        return "event" in answer ? answer : yield* refusal[answer.outcome](eventId)
      }),
      resolve: Effect.fn("EventStore.resolve")(function* (topic, eventId, { dryRun = false, notes = null }) {
        const args = { topic, event_id: eventId, notes, dry_run: dryRun }
        const answer = yield* call("resolve", "outbox_resolve", args, decodeResolved)
        if (answer.outcome === "in_flight") {
          return yield* new EventInFlight({ eventId, retryAfterSeconds: answer.retryAfterSeconds })
        }
        return "event" in answer ? answer : yield* refusal[answer.outcome](eventId)
      }),
      erase: Effect.fn("EventStore.erase")(function* (topic, eventId) {
        const { outcome } = yield* call("erase", "outbox_erase", { topic, event_id: eventId }, decodeErased)
        if (outcome !== "erased") yield* refusal[outcome](eventId)
      }),
      health: Effect.fn("EventStore.health")(() => call("health", "outbox_health", {}, decodeHealth)),
      figures: Effect.fn("EventStore.figures")(() =>
        Effect.map(call("figures", "outbox_metrics", {}, decodeFigures), (found) => found.topics)
      )
    })
  })
)
