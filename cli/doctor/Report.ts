import { count, type Finding } from "./Finding.ts"

const width = 80
const beside = 25
const below = 7

// A word is never cut, because it may be a URL to copy.
const wrap = (text: string, most: number, first: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(/[ \n]+/)) {
    const last = lines.at(-1)
    const longest = lines.length === 1 ? first : most
    if (last !== undefined && last.length + 1 + word.length <= longest) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

const block = (label: string, text: string, indent: number): string =>
  wrap(text, width - indent, width - label.length)
    .map((line, index) => `${index === 0 ? label : " ".repeat(indent)}${line}`)
    .join("\n")

const labelOf = (result: string, name: string): string => `${result.padEnd(below)}${name.padEnd(beside - below)}`

const linesOf = ({ name, verdict }: Finding): ReadonlyArray<string> => {
  if (verdict._tag === "Ok") return [block(labelOf("ok", name), verdict.seen, beside)]
  if (verdict._tag === "NotChecked") return []
  return verdict.wrong.flatMap(({ cure, detail }) => [
    block(labelOf("wrong", name), detail, below),
    block(`${" ".repeat(below)}→ `, cure, below + 2)
  ])
}

/** What was not checked: one line for each thing that was missing. */
const uncheckedIn = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> => {
  const lacking = new Map<string, ReadonlyArray<string>>()
  for (const { name, verdict } of findings)
    if (verdict._tag === "NotChecked") lacking.set(verdict.needs, [...(lacking.get(verdict.needs) ?? []), name])
  return [...lacking].map(([needs, names]) =>
    block("-".padEnd(below), `not checked without ${needs}: ${names.join(", ")}`, below)
  )
}

const summary = (findings: ReadonlyArray<Finding>): string => {
  const many = (tag: Finding["verdict"]["_tag"]) => findings.filter(({ verdict }) => verdict._tag === tag).length
  const parts = [`${many("Ok")} ok`, `${many("Wrong")} wrong`, `${many("NotChecked")} not checked`]
  return `${count(findings.length, "check")}: ${parts.join(", ")}.`
}

/**
 * The report in words, in lines of at most 80 characters: what each check found, then what was not checked, then how many
 * there were.
 */
export const inWords = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> => [
  ...findings.flatMap(linesOf),
  ...uncheckedIn(findings),
  "",
  summary(findings)
]

const asObject = ({ name, verdict }: Finding) => {
  if (verdict._tag === "Ok") return { check: name, result: "ok", detail: verdict.seen }
  if (verdict._tag === "NotChecked") return { check: name, result: "not checked", needs: verdict.needs }
  return {
    check: name,
    result: "wrong",
    problems: verdict.wrong.map(({ cure, detail }) => ({ detail, whatToDo: cure }))
  }
}

/** The report for programs. */
export const asJson = (findings: ReadonlyArray<Finding>) => ({
  ok: findings.every(({ verdict }) => verdict._tag !== "Wrong"),
  findings: findings.map(asObject)
})
