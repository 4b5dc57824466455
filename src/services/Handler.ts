import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { Receipt } from "../schema/Receipt.ts"
import type { Extracted, NoChange } from "./Extract.ts"
import type { Handled, PayloadError } from "./Outcome.ts"

/**
 * A topic as the engine runs it: `read` makes an event of a delivery's body, `handle` does what is to be done about
 * events. Made by Topic.make.
 *
 * **Shape** `atOnce` is how many events `handle` takes about as fast as one; `done` is the word for a handled event in logs
 * and replies; `about` is what a log line says of an event besides topic, key and id; `reply` is the body of a 200.
 */
export interface Handler<Event, E, R> {
  readonly name: string
  readonly done: string
  readonly atOnce: Effect.Effect<number, never, R>
  readonly read: (body: unknown, webhookId?: string) => Effect.Effect<Extracted<Event> | NoChange, PayloadError>
  readonly handle: (events: ReadonlyArray<Event>) => Effect.Effect<ReadonlyArray<Result.Result<Receipt, E>>, never, R>
  readonly about: (event: Event) => Readonly<Record<string, unknown>>
  readonly reply: (ended: Handled<Event> | NoChange) => Readonly<Record<string, unknown>>
}
