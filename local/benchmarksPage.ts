import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { StackError } from "./StackError.ts"

const pagePath = join(import.meta.dirname, "..", "docs", "benchmarks.md")

/** Puts a text between the lines `<!-- name -->` and `<!-- /name -->` of a page, replacing what is there. */
export const replaceBetween = (page: string, name: string, text: string): string => {
  const [opening, closing] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [from, to] = [page.indexOf(opening), page.indexOf(closing)]
  if (from === -1 || to < from) {
    throw new StackError(`${pagePath} has no place for the figures: add the lines ${opening} and ${closing} to it`)
  }
  return `${page.slice(0, from + opening.length)}\n\n${text}\n\n${page.slice(to)}`
}

/** Keeps figures in docs/benchmarks.md, at the place that has this name. */
export const keepFigures = async (name: string, text: string): Promise<void> =>
  writeFile(pagePath, replaceBetween(await readFile(pagePath, "utf8"), name, text))

/** A table in Markdown. */
export const markdownTable = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [
    `| ${head.join(" | ")} |`,
    `|${head.map(() => "---|").join("")}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`)
  ].join("\n")
