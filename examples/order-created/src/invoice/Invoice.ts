import * as BigDecimal from "effect/BigDecimal"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type { Release } from "pause-status-webhook-handler/topic"
import { formatsOf } from "./Formats.ts"
import type { Order } from "./Order.ts"
import { type Wording, wordingOf } from "./Wording.ts"

/** One row of the table. */
export interface InvoiceRow {
  readonly description: string
  readonly quantity: string
  readonly unitPrice: string
  readonly amount: string
}

/** Everything on an invoice, in the order's language and formats. */
export interface Invoice {
  readonly orderId: string
  readonly createdAt: Date
  readonly words: Wording
  readonly seller: ReadonlyArray<string>
  readonly customer: ReadonlyArray<string>
  readonly date: string
  readonly rows: ReadonlyArray<InvoiceRow>
  readonly total: string
  readonly count: (count: number) => string
}

/** The total is not the sum of the items. */
export class TotalMismatch extends Data.TaggedError("TotalMismatch")<{
  readonly total: string
  readonly sum: string
}> {
  readonly release: Release = { kind: "permanent" }

  override get message(): string {
    return `The order's total is ${this.total}, but its items cost ${this.sum}`
  }
}

const linesOf = (text: string | null): ReadonlyArray<string> =>
  (text ?? "").split(/[\r\n]+/).filter((line) => line.trim() !== "")

/**
 * The invoice of an order. An item costs its price times its quantity, rounded to the currency's digits, half away from
 * zero. The total is the sum of the items. The same order gives the same invoice.
 *
 * **Fails with** TotalMismatch.
 */
export const invoiceOf = (order: Order, seller: string): Result.Result<Invoice, TotalMismatch> => {
  const { count, date, digits, money } = formatsOf(order.locale, order.currency)
  const lines = order.items.map(({ description, quantity, unit_price }) => {
    const unitPrice = BigDecimal.fromStringUnsafe(unit_price)
    const exact = BigDecimal.multiply(unitPrice, BigDecimal.fromBigInt(BigInt(quantity)))
    return {
      description,
      quantity,
      unitPrice,
      amount: BigDecimal.round(exact, { scale: digits, mode: "half-from-zero" })
    }
  })
  const sum = BigDecimal.sumAll(lines.map(({ amount }) => amount))
  if (!BigDecimal.equals(sum, BigDecimal.fromStringUnsafe(order.total))) {
    return Result.fail(new TotalMismatch({ total: order.total, sum: BigDecimal.format(sum) }))
  }
  return Result.succeed({
    orderId: order.id,
    createdAt: DateTime.toDateUtc(order.created_at),
    words: wordingOf(order.locale),
    seller: linesOf(seller),
    customer: [order.customer_name, ...linesOf(order.customer_address), ...linesOf(order.customer_email)],
    date: date(order.created_at),
    rows: lines.map(({ amount, description, quantity, unitPrice }) => ({
      description,
      quantity: count(quantity),
      unitPrice: money(unitPrice),
      amount: money(amount)
    })),
    total: money(sum),
    count
  })
}
