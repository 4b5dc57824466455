import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SupabaseRest } from "pause-status-webhook-handler/supabase"
import * as Topic from "pause-status-webhook-handler/topic"

/** An item that fell below its threshold. **Shape** quantities are decimals, as text. */
interface LowItem extends Topic.EventMeta {
  readonly itemId: string
  readonly quantity: string
  readonly reorderThreshold: string
}

/** A retry would not help. The event becomes a dead letter that says why. */
class ReorderRefused extends Data.TaggedError("ReorderRefused")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "permanent" }
}

/** The database did not answer. The event is retried. */
class ReorderUnavailable extends Data.TaggedError("ReorderUnavailable")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "transient" }
}

const decodeAnswer = Schema.decodeUnknownEffect(
  Schema.Union([
    Schema.Struct({ outcome: Schema.Literal("ordered"), receipt: Topic.Receipt }),
    Schema.Struct({ outcome: Schema.Literal("item_gone") })
  ])
)

const decimal = /^\d+(?:\.\d+)?$/

const reorder = Effect.fnUntraced(function* ({ eventId, itemId, quantity, reorderThreshold }: LowItem) {
  for (const [name, value] of Object.entries({ quantity, threshold: reorderThreshold })) {
    if (decimal.test(value)) continue
    return yield* new ReorderRefused({ eventId, message: `The ${name} must be zero or more, but it is ${value}` })
  }
  const database = yield* SupabaseRest.SupabaseRest
  const event = { eventId, itemId, quantity, reorderThreshold }
  const answer = yield* database
    .rpc("reorder_item", { event }, decodeAnswer)
    .pipe(Effect.mapError(({ detail }) => new ReorderUnavailable({ eventId, message: detail })))
  if (answer.outcome === "item_gone") {
    return yield* new ReorderRefused({ eventId, message: `There is no item ${itemId} any more` })
  }
  return answer.receipt
})

/** Each time an item falls below its threshold: one reorder task, and one notification per inventory manager. */
export const inventoryLow = Topic.make("inventory-low", {
  payload: Schema.Struct({
    ...Topic.envelope,
    type: Schema.Literals(["INSERT", "UPDATE"]),
    record: Schema.Struct({ id: Schema.String, quantity: Schema.String, reorder_threshold: Schema.String })
  }),
  read: ({ record: { id, quantity, reorder_threshold }, timestamp }) => ({
    _tag: "Event",
    key: id,
    occurredAt: timestamp,
    event: { itemId: id, quantity, reorderThreshold: reorder_threshold }
  }),
  handle: (items) => Topic.each(items, reorder)
})
