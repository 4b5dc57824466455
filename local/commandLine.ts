import { randomInt } from "node:crypto"

/** An invalid command line. The caller prints the usage. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

export const HIGHEST_SEED = 2 ** 32

export const randomSeed = (): number => randomInt(1, HIGHEST_SEED)

/** A flag's number. Throws UsageError. */
export const wholeNumber = (flag: string, given: string, lowest: number, highest: number): number => {
  if (/^\d{1,10}$/.test(given) && Number(given) >= lowest && Number(given) <= highest) return Number(given)
  throw new UsageError(`${flag} takes a whole number from ${lowest} to ${highest}.`)
}
