import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { MailReceipts, MailReceiptsUnavailable, Prepared } from "../topics/MailReceipts.ts"
import { type RpcFailed, SupabaseRest } from "./SupabaseRest.ts"

const decodeAnswers = Schema.decodeUnknownEffect(Schema.Array(Prepared))
const decodeNothing = () => Effect.void

const unavailable = Effect.mapError(({ detail }: RpcFailed) => new MailReceiptsUnavailable({ detail }))

/** Rows of outbox.receipts: public.notification_mail_prepare and public.notification_mail_record. */
export const layer = Layer.effect(
  MailReceipts,
  Effect.gen(function* () {
    const database = yield* SupabaseRest
    return MailReceipts.of({
      prepare: (mails) => unavailable(database.rpc("notification_mail_prepare", { mails }, decodeAnswers)),
      record: (results) => unavailable(database.rpc("notification_mail_record", { results }, decodeNothing))
    })
  })
)
