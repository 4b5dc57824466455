import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"

/** The formats of an order's numbers and dates. */
export interface Formats {
  /** The currency's digits after the decimal point. */
  readonly digits: number
  readonly money: (amount: BigDecimal.BigDecimal) => string
  readonly count: (count: number) => string
  readonly date: (time: DateTime.Utc) => string
}

const scripts = new Set(["Latn", "Grek", "Cyrl"])

// In any other script, the font lacks the names of the months.
const writable = (locale: string): string =>
  scripts.has(new Intl.Locale(locale).maximize().script ?? "") ? locale : "en"

const isNumeric = (text: string): text is `${number}` => /^-?\d/.test(text)

// Intl reads decimal text exactly. As a number, only 15 digits would be correct.
const numeric = (amount: BigDecimal.BigDecimal): `${number}` => {
  const text = BigDecimal.format(amount)
  return isNumeric(text) ? text : "0"
}

/**
 * Formats for an order's locale and currency, with Latin digits. A price keeps its digits, even if the currency has
 * fewer. Days are UTC, so that the same order has the same date wherever its invoice is made.
 */
export const formatsOf = (locale: string, currency: string): Formats => {
  const tag = writable(locale)
  const style = { style: "currency", currency, numberingSystem: "latn" } as const
  const digits = new Intl.NumberFormat(tag, style).resolvedOptions().maximumFractionDigits ?? 2
  const money = new Intl.NumberFormat(tag, { ...style, maximumFractionDigits: Math.max(digits, 8) })
  const count = new Intl.NumberFormat(tag, { numberingSystem: "latn" })
  const date = new Intl.DateTimeFormat(tag, {
    dateStyle: "long",
    timeZone: "UTC",
    calendar: "gregory",
    numberingSystem: "latn"
  })
  return {
    digits,
    money: (amount) => money.format(numeric(amount)),
    count: (value) => count.format(value),
    date: (time) => date.format(DateTime.toEpochMillis(time))
  }
}
