import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Fetch, supabaseSecretKeys, supabaseUrl } from "pause-status-webhook-handler/supabase"
import type { Release } from "pause-status-webhook-handler/topic"

/** The order has no invoice. **Shape** `isFinal` if a retry would not help, because the order is wrong. */
export class InvoiceFailed extends Data.TaggedError("InvoiceFailed")<{
  readonly status?: number
  readonly detail: string
  readonly isFinal: boolean
}> {
  override get message(): string {
    return `No invoice was made: ${this.detail}`
  }
  get release(): Release {
    return { kind: this.isFinal ? "permanent" : "transient", status: this.status }
  }
}

/** Makes invoices. Making one again changes nothing and returns the same URL. */
export class Invoices extends Context.Service<
  Invoices,
  { readonly make: (orderId: string) => Effect.Effect<string, InvoiceFailed> }
>()("order-created/Invoices") {}

const decodeMade = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({ pdf_url: Schema.String })))
const Problem = Schema.Struct({
  code: Schema.optionalKey(Schema.String),
  detail: Schema.optionalKey(Schema.String),
  issues: Schema.optionalKey(
    Schema.Array(Schema.Struct({ path: Schema.Array(Schema.Unknown), message: Schema.String }))
  )
})
const decodeProblem = Schema.decodeUnknownEffect(Schema.fromJsonString(Problem))

const inWords = ({ code, detail, issues = [] }: typeof Problem.Type): string =>
  [detail ?? code ?? "no reason given", ...issues.map(({ message, path }) => `${path.join(".")}: ${message}`)].join(
    "; "
  )

const failed = (detail: string) => new InvoiceFailed({ detail, isFinal: false })

const patience = "20 seconds"

/** Calls the Edge Function generate-pdf of the same project. */
export const layer = Layer.effect(
  Invoices,
  Effect.gen(function* () {
    const fetch = yield* Fetch
    const url = new URL("/functions/v1/generate-pdf", yield* supabaseUrl)
    const [secret] = yield* supabaseSecretKeys
    const apikey = secret === undefined ? "" : Redacted.value(secret)

    const make = Effect.fn("Invoices.make")(function* (orderId: string) {
      const { status, text } = yield* Effect.tryPromise({
        try: (signal) =>
          fetch(url, {
            method: "POST",
            headers: { "content-type": "application/json", apikey },
            body: JSON.stringify({ order_id: orderId }),
            signal
          }).then((response) => response.text().then((body) => ({ status: response.status, text: body }))),
        catch: () => failed("no connection")
      }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => failed(`no answer within ${patience}`) }))
      if (status === 200) {
        return yield* Effect.mapBoth(decodeMade(text), {
          onSuccess: (made) => made.pdf_url,
          onFailure: () => failed("an unexpected answer")
        })
      }
      const detail = yield* Effect.match(decodeProblem(text), {
        onSuccess: inWords,
        onFailure: () => `status ${status}`
      })
      return yield* new InvoiceFailed({ status, detail, isFinal: status === 404 || status === 422 })
    })

    return { make }
  })
)
