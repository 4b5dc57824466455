import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { PauseEvent, Receipt } from "../schema/PauseEvent.ts"
import { PayloadMismatch } from "../services/DedupeStore.ts"
import { NotificationStore, NotificationStoreUnavailable } from "../services/NotificationStore.ts"
import { SupabaseRest } from "./SupabaseRest.ts"

const decodeAnswer = Schema.decodeUnknownEffect(
  Schema.Union([
    Schema.Struct({ outcome: Schema.Literal("notified"), receipt: Receipt, replayed: Schema.Boolean }),
    Schema.Struct({ outcome: Schema.Literal("payload_mismatch") })
  ])
)

const encodeEvent = Schema.encodeSync(PauseEvent)

/** One transaction in Postgres: public.pause_status_notify. */
export const layer = Layer.effect(
  NotificationStore,
  Effect.gen(function* () {
    const database = yield* SupabaseRest
    return NotificationStore.of({
      write: Effect.fn("NotificationStore.write")(function* (event) {
        const answer = yield* database
          .rpc("pause_status_notify", { event: encodeEvent(event) }, decodeAnswer)
          .pipe(Effect.mapError(({ detail }) => new NotificationStoreUnavailable({ detail })))
        if (answer.outcome === "payload_mismatch") return yield* new PayloadMismatch({ eventId: event.eventId })
        return { receipt: answer.receipt, replayed: answer.replayed }
      })
    })
  })
)
