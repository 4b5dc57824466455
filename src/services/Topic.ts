import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { AnyPayload, envelope } from "../schema/Envelope.ts"
import type { Receipt } from "../schema/Receipt.ts"
import type { DedupeStore } from "./DedupeStore.ts"
import { type EventMeta, extract, type NoChange, type Reading } from "./Extract.ts"
import { handleBatch } from "./HandleBatch.ts"
import { handleOne } from "./HandleEvents.ts"
import type { Handler } from "./Handler.ts"
import type { Ended, Handled, Seen, TopicError, WebhookError } from "./Outcome.ts"
import { logOutcome } from "./OutcomeLog.ts"
import { decoder, InvalidPayload, parseBody, type StockTable } from "./Payload.ts"
import { type Delivery, SignatureVerifier, type Verified } from "./SignatureVerifier.ts"

/** What is watched, and what happens then. **Shape** `decode` is the first step of `read`. */
export interface Topic<P, Event, E, R> extends Handler<Event, E, R> {
  readonly decode: (body: unknown) => Effect.Effect<P, InvalidPayload>
}

/** Whether a payload's Schema has all of the envelope: an event id that is not decoded would be lost. */
type Enveloped<P> = [Exclude<keyof typeof envelope, keyof P>] extends [never] ? unknown : "spread envelope into payload"

/**
 * A topic, as its author writes it.
 *
 * **Shape** `payload` is the Schema of a delivery's body; the members of a union differ in `type` and in no other
 * literal. `record` and `old_record` decode to JSON, which the outbox keeps. `read` is pure. `handle` answers each event,
 * in the order given, with a receipt or an error that says how the event is released; its side effects are keyed by
 * `eventId`, because it may be called twice. `stock` is the table whose stock webhooks are taken as well. The rest is what
 * Handler says, and has defaults.
 */
export interface Options<P, Fields, E, R> {
  readonly payload: Schema.Decoder<P> & Enveloped<P>
  readonly read: (payload: P) => Reading<Fields> | NoChange
  readonly handle: Handler<Fields & EventMeta, E, R>["handle"]
  readonly stock?: StockTable
  readonly atOnce?: Handler<Fields & EventMeta, E, R>["atOnce"]
  readonly done?: string
  readonly about?: Handler<Fields & EventMeta, E, R>["about"]
  readonly reply?: Handler<Fields & EventMeta, E, R>["reply"]
}

const fewAtOnce = 16

const plainReply = (ended: Handled<unknown> | NoChange): Readonly<Record<string, unknown>> => {
  if (ended._tag === "NoChange") return { status: "no_change", key: ended.key, reason: ended.reason }
  const { eventId, key, receipt, status } = ended
  return { status, eventId, key, receipt }
}

/**
 * Declares a topic.
 *
 * @example
 * const orderCreated = Topic.make("order-created", {
 *   payload: Schema.Struct({
 *     ...envelope,
 *     type: Schema.Literal("INSERT"),
 *     record: Schema.Struct({ id: Schema.String, total: Schema.String })
 *   }),
 *   read: ({ record: { id, total }, timestamp }) => ({ _tag: "Event", key: id, occurredAt: timestamp, event: { total } }),
 *   handle: (events) => Topic.each(events, (event) => Mailer.use((mailer) => mailer.send(event)))
 * })
 */
export const make = <P extends AnyPayload, Fields extends object, E extends TopicError, R>(
  name: string,
  options: Options<P, Fields, E, R>
): Topic<P, Fields & EventMeta, E, R> => {
  const { atOnce = Effect.succeed(fewAtOnce), done = "handled", handle, read } = options
  const { about = () => ({}), reply = plainReply } = options
  const decode = decoder(name, options.payload, options.stock)

  type Read = ReturnType<Handler<Fields & EventMeta, E, R>["read"]>
  const readEvent = (valid: P, webhookId: string | undefined): Read => {
    const reading = read(valid)
    return reading._tag === "NoChange" ? Effect.succeed(reading) : extract(name, valid, reading, webhookId)
  }
  // A defect of `read` ends one event, not the delivery that it came with.
  const failToRead = (defect: unknown) =>
    Effect.andThen(
      Effect.logError({ outcome: "defect", topic: name }, Cause.die(defect)),
      new InvalidPayload({ issues: [{ path: [], message: "The topic could not read it" }] })
    )

  return {
    name,
    done,
    atOnce,
    handle,
    about,
    reply,
    decode,
    read: (body, webhookId) =>
      Effect.catchDefect(
        Effect.flatMap(decode(body), (valid) => readEvent(valid, webhookId)),
        failToRead
      )
  }
}

/** Handles each event on its own, `concurrency` of them at once: for a `handle` that takes one event at a time. */
export const each = <Event, E, R>(
  events: ReadonlyArray<Event>,
  handleEvent: (event: Event) => Effect.Effect<Receipt, E, R>,
  concurrency = fewAtOnce
): Effect.Effect<ReadonlyArray<Result.Result<Receipt, E>>, never, R> =>
  Effect.forEach(events, (event) => Effect.result(handleEvent(event)), { concurrency })

/**
 * The whole job for one delivery of a topic: verify the raw bytes, decode, read, claim, handle, settle, and go on with what
 * the settlement returned. NO_CHANGE touches neither the store nor the topic. An array of payloads is a batch: each ends on
 * its own. Writes one log line, whatever the end. Uninterruptible, so that the line says what became of the event although
 * its caller hung up.
 *
 * **Fails with** WebhookError.
 *
 * @example
 * Topic.receive(orderCreated)({ header: (name) => request.headers.get(name) ?? undefined, body })
 */
export const receive =
  <Event, E extends TopicError, R>(handler: Handler<Event, E, R>) =>
  (delivery: Delivery): Effect.Effect<Ended<Event, E>, WebhookError<E>, SignatureVerifier | DedupeStore | R> =>
    Effect.clockWith((clock: Clock.Clock) => {
      const startedAt = clock.currentTimeMillisUnsafe()
      let verified: Verified | undefined
      let seen: Seen<Event>
      return Effect.gen(function* () {
        const verifier = yield* SignatureVerifier
        verified = yield* verifier.verify(delivery)
        const json = yield* parseBody(delivery.body)
        if (Array.isArray(json)) return yield* handleBatch(handler, json)
        seen = yield* handler.read(json, verified.webhookId)
        return seen._tag === "NoChange" ? seen : yield* handleOne(handler, seen)
      }).pipe(
        Effect.onExit((exit) => logOutcome(handler, verified, seen, exit, clock.currentTimeMillisUnsafe() - startedAt)),
        Effect.uninterruptible
      )
    })
