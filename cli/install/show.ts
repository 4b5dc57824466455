import type { Step } from "./plan.ts"

/** A count, because nobody reads 25 names. */
const migrationLines = (steps: ReadonlyArray<Step>): ReadonlyArray<string> => {
  const [first] = steps
  const last = steps.at(-1)
  if (first === undefined || last === undefined) return []
  const word = first.action.padEnd(8)
  if (steps.length < 3) return steps.map(({ path }) => `  ${word} supabase/${path}`)
  return [
    `  ${word} ${steps.length} migrations:`,
    `           supabase/${first.path}`,
    `           to ${last.path.replace("migrations/", "")}`
  ]
}

const line = ({ action, note, path }: Step): string =>
  `  ${action.padEnd(8)} supabase/${path}${note === undefined ? "" : action === "keep" ? `\n           ${note}` : ` (${note})`}`

/** What will happen, file by file. */
export const describePlan = (steps: ReadonlyArray<Step>): ReadonlyArray<string> => {
  const changes = steps.filter(({ action }) => action !== "same")
  const many = (["add", "remove"] as const).map((action) =>
    changes.filter((step) => step.action === action && step.path.startsWith("migrations/"))
  )
  return [...many.flatMap(migrationLines), ...changes.filter((step) => !many.flat().includes(step)).map(line)]
}

/** The same for programs. */
export const planJson = (steps: ReadonlyArray<Step>) =>
  steps.map(({ action, needsYou = false, note, path }) => ({ path: `supabase/${path}`, action, note, needsYou }))

export const changes = (steps: ReadonlyArray<Step>): boolean =>
  steps.some(({ action }) => action !== "same" && action !== "keep")

export const needYou = (steps: ReadonlyArray<Step>): boolean => steps.some(({ needsYou }) => needsYou === true)
