import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import { DedupeStore } from "../services/DedupeStore.ts"
import type { Handler } from "../services/Handler.ts"

/**
 * How many events ended in which way, by `topic` and `outcome`.
 *
 * **Shape** `outcome` is how the event was settled (`completed`, `released`, `dead`, `stale` or `invalid`), or the tag of
 * the error for which it could not be claimed. An event that is released and tried again ends more than once.
 */
export const events = Metric.counter("outbox_events", {
  description: "Events by how they were settled, or why they could not be claimed",
  incremental: true
})

/**
 * How long the steps of a delivery took, by `topic` and `step`: `claim`, `handle` or `settle`, each for all of its events.
 *
 * **Units** milliseconds.
 */
export const durations = Metric.histogram("outbox_step_duration_ms", {
  description: "Milliseconds that a step of a delivery took, for all of its events",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 15 })
})

const count = (topic: string, outcome: string, times = 1) =>
  Metric.update(Metric.withAttributes(events, { topic, outcome }), times)

const mostNamed = 10

const step =
  (name: "claim" | "handle" | "settle", topic: string, about: Readonly<Record<string, unknown>>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.withSpan(name === "handle" ? "Topic.handle" : `DedupeStore.${name}`, {
        attributes: { topic, ...about },
        kind: name === "handle" ? "internal" : "client"
      }),
      Effect.trackDuration(Metric.withAttributes(durations, { topic, step: name }), Duration.toMillis)
    )

const namesOf = (many: ReadonlyArray<{ readonly eventId: string }>) => ({
  events: many.length,
  eventIds: many.slice(0, mostNamed).map(({ eventId }) => eventId)
})

/**
 * A topic whose `handle` is a span, `Topic.handle`, and whose duration is measured. What `handle` calls has its spans
 * below it.
 *
 * @example
 * WebhookRouter.layer(Traced.topic(orderCreated))
 */
export const topic = <Event, E, R>(handler: Handler<Event, E, R>): Handler<Event, E, R> => ({
  ...handler,
  handle: (given) =>
    handler.handle(given).pipe(
      Effect.tap((ends) => Effect.annotateCurrentSpan("failed", ends.filter(Result.isFailure).length)),
      step("handle", handler.name, { events: given.length })
    )
})

/**
 * Wraps any claim store: each call is a span, `DedupeStore.claim` or `DedupeStore.settle`, with its topic, the number of
 * its events and the first of their ids; every outcome is counted and every call's duration measured. Not part of any
 * bundle.
 *
 * @example
 * Traced.layer.pipe(Layer.provide(DedupeStoreSupabase.layer))
 */
export const layer = Layer.effect(
  DedupeStore,
  Effect.map(DedupeStore, (store) =>
    DedupeStore.of({
      claim: (entries) =>
        store.claim(entries).pipe(
          Effect.tap((claims) =>
            Effect.andThen(
              Effect.annotateCurrentSpan("claimed", claims.filter(Result.isSuccess).length),
              Effect.forEach(claims, (claim, index) =>
                Result.isSuccess(claim) ? Effect.void : count(entries[index]?.topic ?? "", claim.failure._tag)
              )
            )
          ),
          Effect.tapError(({ _tag }) => count(entries[0]?.topic ?? "", _tag, entries.length)),
          step("claim", entries[0]?.topic ?? "", namesOf(entries))
        ),
      settle: (settlements, options) =>
        store.settle(settlements, options).pipe(
          Effect.tap(({ next, settled }) =>
            Effect.andThen(
              Effect.annotateCurrentSpan({
                taken: next.length,
                completed: settled.filter((outcome) => outcome === "completed").length
              }),
              Effect.forEach(settled, (outcome) => count(options.topic, outcome))
            )
          ),
          step("settle", options.topic, namesOf(settlements.map(({ claim }) => claim)))
        )
    })
  )
)
