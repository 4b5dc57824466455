// The second topic of a run, as its author would write it. The default export is the Edge Function that serves it.
import { Data, Effect, Layer, Schema } from "effect"
import * as Config from "../src/layers/Config.ts"
import * as DedupeStoreSupabase from "../src/layers/DedupeStoreSupabase.ts"
import { HttpLimits } from "../src/layers/Http.ts"
import * as Logging from "../src/layers/Logging.ts"
import * as SignatureVerifierWebCrypto from "../src/layers/SignatureVerifierWebCrypto.ts"
import { type RpcFailed, SupabaseRest, layer as supabaseRest } from "../src/layers/SupabaseRest.ts"
import * as WebHandler from "../src/layers/WebHandler.ts"
import { receive } from "../src/layers/WebhookHttp.ts"
import { envelope } from "../src/schema/Envelope.ts"
import type { EventId } from "../src/schema/Identifiers.ts"
import { ContinueMillis } from "../src/services/Continue.ts"
import type { Release } from "../src/services/DedupeStore.ts"
import type { EventMeta } from "../src/services/Extract.ts"
import * as Topic from "../src/services/Topic.ts"

interface OrderStage extends EventMeta {
  readonly orderId: string
  readonly oldStage: string | null
  readonly newStage: string | null
}

class NotTold extends Data.TaggedError("NotTold")<{ readonly eventId: EventId; readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
  get release(): Release {
    return this.detail.startsWith("status 400") ? { kind: "permanent", status: 400 } : { kind: "transient" }
  }
}

const Row = Schema.Struct({ id: Schema.String, stage: Schema.NullOr(Schema.String) })
const decodeTold = Schema.decodeUnknownEffect(Schema.Boolean)

const tell = ({ eventId, newStage, oldStage, orderId, version }: OrderStage) =>
  SupabaseRest.use((database) =>
    database.rpc("tell_order", { eventId, orderId, version, oldStage, newStage }, decodeTold)
  ).pipe(
    Effect.mapBoth({
      onSuccess: (told) => ({ told }),
      onFailure: ({ detail }: RpcFailed) => new NotTold({ eventId, detail })
    })
  )

const orderStage = Topic.make("order-stage", {
  payload: Schema.Union([
    Schema.Struct({ ...envelope, type: Schema.Literal("INSERT"), record: Row, old_record: Schema.Null }),
    Schema.Struct({ ...envelope, type: Schema.Literal("UPDATE"), record: Row, old_record: Row })
  ]),
  read: ({ old_record, record, timestamp }) => ({
    _tag: "Event",
    key: record.id,
    occurredAt: timestamp,
    event: { orderId: record.id, oldStage: old_record?.stage ?? null, newStage: record.stage }
  }),
  handle: (events) => Topic.each(events, tell)
})

const live = HttpLimits.layer.pipe(
  Layer.provideMerge(DedupeStoreSupabase.layer),
  Layer.provideMerge(supabaseRest),
  Layer.provideMerge(SignatureVerifierWebCrypto.layer),
  Layer.provideMerge(Layer.effect(ContinueMillis, Config.continueMillis)),
  Layer.provide(Config.fromEnvironment),
  Layer.provideMerge(Logging.layer)
)

export default { fetch: WebHandler.make(live, receive(orderStage)) }
