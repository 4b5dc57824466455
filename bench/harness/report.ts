import { existsSync } from "node:fs"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { table } from "../../local/demo/table.ts"
import { type Answer, BenchError, type Table } from "./question.ts"
import { drawn } from "./plots.ts"

const root = join(import.meta.dirname, "..", "..")
const resultsPath = join(root, "bench", "results.json")
const pagePath = join(root, "docs", "benchmarks.md")
const plotsPath = join(root, "docs", "plots")
const appendicesPath = join(root, "docs", "benchmarks")

/** As a person reads it in a terminal. */
export const printable = (name: string, where: string, { tables }: Answer): string =>
  [`\n# ${name}`, where, ...tables.map(({ head, rows, title }) => `\n${title}\n\n${table(head, rows)}`)].join("\n")

const markdownTable = ({ head, rows, title }: Table): string =>
  [
    `**${title}**`,
    "",
    `| ${head.join(" | ")} |`,
    `|${head.map(() => "---|").join("")}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`)
  ].join("\n")

const section = (where: string, { plots = [], tables }: Answer): string =>
  [
    ...tables.map(markdownTable),
    ...plots.map(({ name, title }) => `![${title}](plots/${name}.svg)`),
    `<sub>${where}</sub>`
  ].join("\n\n")

const readResults = async (): Promise<object> => {
  if (!existsSync(resultsPath)) return {}
  const results: unknown = JSON.parse(await readFile(resultsPath, "utf8"))
  return typeof results === "object" && results !== null ? results : {}
}

const replaceBetween = (page: string, name: string, text: string): string => {
  const [opening, closing] = [`<!-- bench: ${name} -->`, `<!-- /bench: ${name} -->`]
  const [from, to] = [page.indexOf(opening), page.indexOf(closing)]
  if (from === -1 || to < from) {
    throw new BenchError(`${pagePath} has no place for the answer: add the lines ${opening} and ${closing} to it`)
  }
  return `${page.slice(0, from + opening.length)}\n\n${text}\n\n${page.slice(to)}`
}

/** Keeps an answer: the figures, the tables between the page's markers, the plots. */
export const writeDown = async (name: string, where: string, answer: Answer): Promise<void> => {
  const { appendices = [], figures, plots = [] } = answer
  const results = { ...(await readResults()), [name]: { where, figures } }
  await writeFile(resultsPath, `${JSON.stringify(results, undefined, 2)}\n`)
  await writeFile(pagePath, replaceBetween(await readFile(pagePath, "utf8"), name, section(where, answer)))
  await Promise.all(
    [plotsPath, ...(appendices.length > 0 ? [appendicesPath] : [])].map((path) => mkdir(path, { recursive: true }))
  )
  await Promise.all([
    ...plots.map((plot) => writeFile(join(plotsPath, `${plot.name}.svg`), drawn(plot))),
    ...appendices.map(({ name, text }) => writeFile(join(appendicesPath, `${name}.md`), text))
  ])
}
