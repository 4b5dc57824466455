import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SupabaseRest } from "pause-status-webhook-handler/supabase"
import * as Topic from "pause-status-webhook-handler/topic"

/** A new stage or amount. **Shape** `amount` is a decimal, as text; `oldStage` is null for a new opportunity. */
interface Change extends Topic.EventMeta {
  readonly opportunityId: string
  readonly oldStage: string | null
  readonly newStage: string | null
  readonly amount: string | null
}

/** A retry would not help. The event becomes a dead letter that says why. */
class ChangeRefused extends Data.TaggedError("ChangeRefused")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "permanent" }
}

/** The database did not answer. The event is retried. */
class ChangeUnavailable extends Data.TaggedError("ChangeUnavailable")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "transient" }
}

const decodeAnswer = Schema.decodeUnknownEffect(
  Schema.Union([
    Schema.Struct({ outcome: Schema.Literal("moved"), receipt: Topic.Receipt }),
    Schema.Struct({ outcome: Schema.Literal("unknown_stage"), stages: Schema.String })
  ])
)

const decimal = /^\d+(?:\.\d+)?$/

const move = Effect.fnUntraced(function* (change: Change) {
  const { amount, eventId, newStage, occurredAt, oldStage, opportunityId, version } = change
  if (amount === null || !decimal.test(amount)) {
    return yield* new ChangeRefused({ eventId, message: `The amount must be zero or more, but it is ${amount}` })
  }
  const database = yield* SupabaseRest.SupabaseRest
  const event = {
    event_id: eventId,
    opportunity_id: opportunityId,
    version,
    old_stage: oldStage,
    new_stage: newStage,
    amount,
    occurred_at: occurredAt
  }
  const answer = yield* database
    .rpc("move_opportunity", { event }, decodeAnswer)
    .pipe(Effect.mapError(({ detail }) => new ChangeUnavailable({ eventId, message: detail })))
  if (answer.outcome === "unknown_stage") {
    return yield* new ChangeRefused({ eventId, message: `${newStage} is not a stage; the stages are ${answer.stages}` })
  }
  return answer.receipt
})

const Word = Schema.NullOr(Schema.String)
const State = Schema.Struct({ id: Schema.String, stage: Word, amount: Word })

/** Each change of an opportunity's stage or amount: a row in its history, and the pipeline's figures. */
export const opportunityStage = Topic.make("opportunity-stage", {
  payload: Schema.Struct({
    ...Topic.envelope,
    type: Schema.Literals(["INSERT", "UPDATE"]),
    record: State,
    old_record: Schema.NullOr(State)
  }),
  read: ({ old_record, record: { amount, id, stage }, timestamp }) => ({
    _tag: "Event",
    key: id,
    occurredAt: timestamp,
    event: { opportunityId: id, oldStage: old_record?.stage ?? null, newStage: stage, amount }
  }),
  handle: (changes) => Topic.each(changes, move)
})
