import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

// Enough digits for any amount, and few enough for the invoice's column.
const Decimal = Schema.String.check(
  Schema.isPattern(/^-?\d{1,21}(?:\.\d{1,8})?$/, {
    expected: "a decimal number with at most 21 digits, and 8 after the point"
  })
)

const isLocale = Schema.makeFilter((tag: string) =>
  Option.isSome(Option.liftThrowable(Intl.getCanonicalLocales)(tag)) ? undefined : "Expected a locale, such as de-AT"
)

const Text = Schema.NonEmptyString.check(Schema.isMaxLength(500))

/** One line of an order. **Shape** `unit_price` is decimal text, never a float; a discount is negative. */
const OrderItem = Schema.Struct({
  description: Text,
  quantity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000 })),
  unit_price: Decimal
})

/**
 * An order with its items, as stored in the database.
 *
 * **Shape** `total` is decimal text, never a float. `locale` is a BCP 47 tag, `currency` a code of ISO 4217.
 */
export const Order = Schema.Struct({
  id: Schema.String.check(Schema.isUUID()),
  customer_name: Text,
  customer_email: Schema.NullOr(Schema.String.check(Schema.isMaxLength(500))),
  customer_address: Schema.NullOr(Schema.String.check(Schema.isMaxLength(2_000))),
  currency: Schema.String.check(Schema.isPattern(/^[A-Z]{3}$/, { expected: "a currency, such as EUR" })),
  locale: Schema.String.check(isLocale),
  total: Decimal,
  created_at: Schema.DateTimeUtcFromString,
  invoice_url: Schema.NullOr(Schema.String),
  items: Schema.NonEmptyArray(OrderItem)
})
export type Order = typeof Order.Type
