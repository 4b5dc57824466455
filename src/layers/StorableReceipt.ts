import type { Receipt } from "../schema/Receipt.ts"

const mostCharacters = 16_384
const mostLevels = 100

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === "object" &&
  value !== null &&
  (levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1)))

// Each match is one whole escape, so a backslash that is itself escaped cannot be taken for the start of another. JSON
// escapes only those surrogates that have no partner.
const unstorable = /\\(?:u(?:0000|d[89a-f]..)|.)/giu

/**
 * A receipt that Postgres can hold. Another orchestrator's receipt may not be one, and its event is settled all the
 * same, together with its neighbours: the orchestrator has accepted it.
 *
 * **Shape** NUL and lone surrogates become U+FFFD. A receipt of over 16,384 characters or 100 levels becomes
 * `{ omitted }`, with its `notified` if that is a number.
 */
export const storableReceipt = (receipt: Receipt): Receipt => {
  const { notified } = receipt
  const omitted = (why: string) => ({ ...(typeof notified === "number" && { notified }), omitted: why })
  if (isDeeper(receipt, mostLevels)) return omitted(`it is nested more than ${mostLevels} levels deep`)
  const text = JSON.stringify(receipt)
  if (text.length > mostCharacters) return omitted(`it is longer than ${mostCharacters} characters`)
  return JSON.parse(text.replace(unstorable, (escape) => (escape.length > 2 ? "\\ufffd" : escape)))
}
