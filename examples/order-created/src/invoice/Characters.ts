import type { Invoice } from "./Invoice.ts"

/** A character by itself and by its number: "渡 (U+6E21)". */
const named = (character: string): string =>
  `${character} (U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")})`

/** The first and last code point of each range in a font. */
export type Covered = ReadonlyArray<readonly [first: number, last: number]>

/** One line of text as printed: letters composed with their accents, without invisible characters. */
export const printed = (text: string): string =>
  text
    .normalize("NFC")
    .replaceAll(/\p{Cf}/gu, "")
    .replaceAll(/[\s\p{Cc}]+/gu, (space) => (space === "\u00A0" || space === "\u202F" ? space : " "))
    .trim()

const textsOf = ({ count, customer, date, orderId, rows, seller, total, words }: Invoice): ReadonlyArray<string> => [
  orderId,
  date,
  total,
  count(rows.length),
  ...seller,
  ...customer,
  ...rows.flatMap((row) => Object.values(row)),
  ...Object.values(words).map(String)
]

/** The characters of an invoice that the font lacks, each once, in reading order. */
export const missingFrom = (covered: Covered, invoice: Invoice): ReadonlyArray<string> => {
  const isCovered = (character: string): boolean => {
    const code = character.codePointAt(0) ?? 0
    return covered.some(([first, last]) => code >= first && code <= last)
  }
  const characters = new Set(textsOf(invoice).map(printed).join(""))
  return [...characters].filter((character) => !isCovered(character)).map(named)
}
