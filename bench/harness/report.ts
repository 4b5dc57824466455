import { existsSync } from "node:fs"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { keepFigures, markdownTable } from "../../local/benchmarksPage.ts"
import { table } from "../../local/demo/table.ts"
import { type Answer, type Budget, isMet, type Table } from "./question.ts"
import { figure } from "./statistics.ts"
import { drawn } from "./plots.ts"

const root = join(import.meta.dirname, "..", "..")
const resultsPath = join(root, "bench", "results.json")
const plotsPath = join(root, "docs", "plots")
const appendicesPath = join(root, "docs", "benchmarks")

const budgetTable = (budgets: ReadonlyArray<Budget>): Table => ({
  title: "Budgets",
  head: ["what", "budget", "found", "met"],
  rows: budgets.map((budget) => {
    const { atLeast, atMost, found, unit, what } = budget
    const bound = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`
    return [
      what,
      `${bound} ${unit}`,
      `${Number.isInteger(found) ? found.toLocaleString("en") : figure(found)} ${unit}`,
      isMet(budget) ? "yes" : "**no**"
    ]
  })
})

/** For a person at a terminal. */
export const printable = (name: string, where: string, { budgets = [], tables }: Answer): string =>
  [
    `\n# ${name}`,
    where,
    ...[...tables, ...(budgets.length > 0 ? [budgetTable(budgets)] : [])].map(
      ({ head, rows, title }) => `\n${title}\n\n${table(head, rows)}`
    )
  ].join("\n")

const titled = ({ head, rows, title }: Table): string => `**${title}**\n\n${markdownTable(head, rows)}`

const section = (where: string, { plots = [], tables }: Answer): string =>
  [
    ...tables.map(titled),
    ...plots.map(({ name, title }) => `![${title}](plots/${name}.svg)`),
    `<sub>${where}</sub>`
  ].join("\n\n")

interface Result {
  readonly where: string
  readonly budgets: ReadonlyArray<Budget>
  readonly figures: unknown
}

const readResults = async (): Promise<Readonly<Record<string, Result>>> =>
  existsSync(resultsPath) ? JSON.parse(await readFile(resultsPath, "utf8")) : {}

// Numbers share a line, because nobody reads a diff of a thousand lines.
const readable = (json: string): string =>
  json.replaceAll(/\[[\d\s.,e+-]+\]/g, (numbers) => numbers.replaceAll(/\s+/g, " "))

/** Writes an answer: the figures, the tables between the page's markers, and the plots. */
export const writeDown = async (name: string, where: string, answer: Answer): Promise<void> => {
  const { appendices = [], budgets = [], figures, plots = [] } = answer
  const results = { ...(await readResults()), [name]: { where, budgets, figures } }
  await writeFile(resultsPath, `${readable(JSON.stringify(results, undefined, 1))}\n`)
  const allBudgets = Object.values(results).flatMap(({ budgets }) => budgets)
  await keepFigures(`bench: ${name}`, section(where, answer))
  const sources = Object.entries(results).map(([name, { where }]) => `${name}: ${where}`)
  await keepFigures("bench: budgets", `${titled(budgetTable(allBudgets))}\n\n<sub>${sources.join("<br>")}</sub>`)
  for (const path of [plotsPath, appendicesPath]) await mkdir(path, { recursive: true })
  for (const plot of plots) await writeFile(join(plotsPath, `${plot.name}.svg`), drawn(plot))
  for (const { name, text } of appendices) await writeFile(join(appendicesPath, `${name}.md`), `${text}\n`)
}
