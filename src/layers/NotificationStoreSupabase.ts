import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
import { Receipt } from "../schema/Receipt.ts"
import { EventUnstorable, PayloadMismatch } from "../services/DedupeStore.ts"
import {
  EventSuperseded,
  NotificationStore,
  NotificationStoreUnavailable,
  type Written,
  type WriteRefused
} from "../topics/NotificationStore.ts"
import { SupabaseRest } from "./SupabaseRest.ts"

const Answer = Schema.Union([
  Schema.Struct({ outcome: Schema.Literal("notified"), receipt: Receipt, replayed: Schema.Boolean }),
  Schema.Struct({ outcome: Schema.Literals(["payload_mismatch", "superseded", "invalid"]) })
])
const decodeAnswers = Schema.decodeUnknownEffect(Schema.Array(Answer))

const toResult = ({ eventId }: PauseEvent, answer: typeof Answer.Type): Result.Result<Written, WriteRefused> => {
  switch (answer.outcome) {
    case "notified":
      return Result.succeed({ receipt: answer.receipt, replayed: answer.replayed })
    case "payload_mismatch":
      return Result.fail(new PayloadMismatch({ eventId }))
    case "superseded":
      return Result.fail(new EventSuperseded({ eventId }))
    case "invalid":
      return Result.fail(new EventUnstorable({ eventId }))
  }
}

/** One transaction in Postgres: public.pause_status_notify. */
export const layer = Layer.effect(
  NotificationStore,
  Effect.gen(function* () {
    const database = yield* SupabaseRest
    return NotificationStore.of({
      write: Effect.fnUntraced(function* (events) {
        const answers = yield* database
          .rpc("pause_status_notify", { events: events satisfies typeof PauseEvents.Encoded }, decodeAnswers)
          .pipe(Effect.mapError(({ detail }) => new NotificationStoreUnavailable({ detail })))
        if (answers.length !== events.length) {
          return yield* new NotificationStoreUnavailable({ detail: "it answered for fewer events than were sent" })
        }
        return Array.zipWith(events, answers, toResult)
      })
    })
  })
)
