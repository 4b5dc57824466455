import { PostgrestClient } from "@supabase/postgrest-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { toIssues } from "pause-status-webhook-handler/topic"
import { Order } from "./Order.ts"
import { OrderInvalid, Orders, OrdersUnavailable, OrderUnknown } from "./Orders.ts"
import * as Project from "./Project.ts"

// As a JSON number, a numeric becomes a float in JavaScript. As text, it keeps all its digits.
const columns =
  "id,customer_name,customer_email,customer_address,currency,locale,total::text,created_at,invoice_url," +
  "items:order_items(description,quantity,unit_price::text)"

const decodeOrder = Schema.decodeUnknownEffect(Order, { errors: "all" })
const decodeUrls = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ invoice_url: Schema.NullOr(Schema.String) }))
)

interface Answer {
  readonly data: unknown
  readonly error: { readonly code?: string } | null
  readonly status: number
}

const ask = (run: (signal: AbortSignal) => PromiseLike<Answer>) =>
  Project.answerOf(run, (detail) => new OrdersUnavailable({ detail })).pipe(
    Effect.flatMap(({ data, error, status }) => {
      if (error === null) return Effect.succeed(data)
      const detail = status === 0 ? "no connection" : `status ${status}${error.code ? ` (${error.code})` : ""}`
      return new OrdersUnavailable({ detail })
    })
  )

/** Reads and writes public.orders and public.order_items through PostgREST. */
export const layer = Layer.effect(
  Orders,
  Effect.gen(function* () {
    const { fetch, headers, url } = yield* Project.connection
    const client = new PostgrestClient(new URL("/rest/v1", url).href, { headers, fetch, schema: "public" })

    const storedUrl = Effect.fnUntraced(function* (orderId: string) {
      const rows = yield* ask((signal) =>
        client.from("orders").select("invoice_url").eq("id", orderId).retry(false).abortSignal(signal)
      )
      const [row] = yield* Effect.orDie(decodeUrls(rows))
      return row === undefined ? yield* new OrderUnknown({ orderId }) : row.invoice_url
    })

    return Orders.of({
      read: Effect.fn("Orders.read")(function* (orderId) {
        const row = yield* ask((signal) =>
          client
            .from("orders")
            .select(columns)
            .eq("id", orderId)
            .order("position", { referencedTable: "items" })
            .retry(false)
            .abortSignal(signal)
            .maybeSingle()
        )
        if (row === null) return yield* new OrderUnknown({ orderId })
        return yield* Effect.mapError(decodeOrder(row), (error) => new OrderInvalid({ issues: toIssues(error) }))
      }),
      setInvoiceUrl: Effect.fn("Orders.setInvoiceUrl")(function* ({ id, invoice_url }, url) {
        if (invoice_url === url) return url
        const rows = yield* ask((signal) => {
          const update = client.from("orders").update({ invoice_url: url }).eq("id", id)
          const ours = invoice_url === null ? update.is("invoice_url", null) : update.eq("invoice_url", invoice_url)
          return ours.select("invoice_url").abortSignal(signal)
        })
        const [row] = yield* Effect.orDie(decodeUrls(rows))
        return row?.invoice_url ?? (yield* storedUrl(id)) ?? url
      })
    })
  })
)
