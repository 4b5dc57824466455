import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { missingFrom } from "../src/invoice/Characters.ts"
import { invoiceOf } from "../src/invoice/Invoice.ts"
import { covered, invoice, order } from "./orders.ts"

const cents = (amount: bigint): string => `${amount / 100n}.${String(amount % 100n).padStart(2, "0")}`

describe("an invoice", () => {
  it("has the formats of its order's locale and currency", () => {
    const item = { description: "x", quantity: 1_234, unit_price: "1.5" }
    const seen = (locale: string, currency: string) => {
      const { date, rows, total } = invoice({ locale, currency, total: "1851", items: [item] })
      return [rows[0]?.quantity, rows[0]?.unitPrice, total, date].map((text) => text?.replaceAll(/\s/g, " "))
    }
    assert.deepStrictEqual(seen("en-US", "USD"), ["1,234", "$1.50", "$1,851.00", "November 28, 2026"])
    assert.deepStrictEqual(seen("de-DE", "EUR"), ["1.234", "1,50 €", "1.851,00 €", "28. November 2026"])
    assert.deepStrictEqual(seen("fr-FR", "EUR"), ["1 234", "1,50 €", "1 851,00 €", "28 novembre 2026"])
    assert.deepStrictEqual(seen("el-GR", "EUR"), ["1.234", "1,50 €", "1.851,00 €", "28 Νοεμβρίου 2026"])
    assert.deepStrictEqual(seen("ru-RU", "RUB"), ["1 234", "1,50 ₽", "1 851,00 ₽", "28 ноября 2026 г."])
  })

  it("uses Latin digits and letters if the font lacks others", () => {
    for (const locale of ["ar-EG", "ja-JP", "fa-IR", "hi-IN", "th-TH", "he-IL"]) {
      const { date, total } = invoice({ locale })
      assert.deepStrictEqual([date, total], ["November 28, 2026", "€25.00"])
      assert.isEmpty(missingFrom(covered, invoice({ locale })))
    }
  })

  it("is in the language of the locale, or else in English", () => {
    const said = (locale: string) => [invoice({ locale }).words.language, invoice({ locale }).words.invoice]
    assert.deepStrictEqual(["de-AT", "fr-CA", "en-GB", "sv-SE"].map(said), [
      ["de", "Rechnung"],
      ["fr", "Facture"],
      ["en", "Invoice"],
      ["en", "Invoice"]
    ])
  })

  it("rounds each item to the currency's digits, half away from zero", () => {
    const totalOf = (currency: string, total: string, unit_price: string, quantity = 1) =>
      invoice({ currency, total, items: [{ description: "x", quantity, unit_price }] }).total.replaceAll(/\s/g, " ")
    assert.strictEqual(totalOf("EUR", "0.01", "0.005"), "€0.01")
    assert.strictEqual(totalOf("EUR", "-0.01", "-0.005"), "-€0.01")
    assert.strictEqual(totalOf("JPY", "3", "0.9", 3), "JP¥3")
    assert.strictEqual(totalOf("KWD", "0.003", "0.0025"), "KWD 0.003")
  })

  it("keeps the digits of a price if the currency has fewer", () => {
    const items = [{ description: "x", quantity: 1_000, unit_price: "0.00125" }]
    assert.deepStrictEqual(invoice({ total: "1.25", items }).rows, [
      { description: "x", quantity: "1,000", unitPrice: "€0.00125", amount: "€1.25" }
    ])
  })

  it.effect.prop(
    "amounts keep all their digits, however many",
    {
      units: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 10n ** 20n })),
      quantity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000_000 }))
    },
    ({ quantity, units }) =>
      Effect.sync(() => {
        const total = units * BigInt(quantity)
        if (total >= 10n ** 23n) return
        const items = [{ description: "x", quantity, unit_price: cents(units) }]
        assert.strictEqual(invoice({ total: cents(total), items }).total.replaceAll(/[€,]/g, ""), cents(total))
      })
  )

  it("is not made if the total is not the sum of the items", () => {
    const result = invoiceOf(order({ total: "25.01" }), "")
    assert.strictEqual(
      Result.isFailure(result) ? result.failure.message : "",
      "The order's total is 25.01, but its items cost 25"
    )
  })
})

describe("the characters of an invoice", () => {
  const missing = (customer_name: string) => missingFrom(covered, invoice({ customer_name }))

  it.each(["Zoë Łukasiewicz-Ağaoğlu", "Ştefan Țurcanu", "Πολυξένη Ἀχιλλέως", "Ђорђе Їжакевич Ёлкина", "O’Neill — №1"])(
    "are all there for %s",
    (name) => assert.isEmpty(missing(name))
  )

  it("are named if they are missing, each once", () => {
    assert.deepStrictEqual(missing("渡 辺渡"), ["渡 (U+6E21)", "辺 (U+8FBA)"])
    assert.deepStrictEqual(missing("محمد"), ["م (U+0645)", "ح (U+062D)", "د (U+062F)"])
    assert.deepStrictEqual(missing("Ada 😀"), ["😀 (U+1F600)"])
  })

  it("include those of the seller", () => {
    assert.deepStrictEqual(missingFrom(covered, invoice({}, "株")), ["株 (U+682A)"])
  })

  it("do not count if they are invisible", () => assert.isEmpty(missing("A\u200Bd\u00ADa\u202E\tLove\u0007lace\uFEFF")))
})
