import type { Finding } from "./Finding.ts"
import { count } from "./Finding.ts"

const width = 80
const label = 9
const indent = label + 18

/** Breaks a text into lines of at most so many characters, between words; a longer word is cut. */
const wrap = (text: string, most: number): ReadonlyArray<string> =>
  text
    .split(/\s+/)
    .flatMap((word) => word.match(new RegExp(`.{1,${most}}`, "gu")) ?? [])
    .reduce<ReadonlyArray<string>>((lines, word) => {
      const last = lines.at(-1)
      return last === undefined || last.length + 1 + word.length > most
        ? [...lines, word]
        : [...lines.slice(0, -1), `${last} ${word}`]
    }, [])

const block = (first: string, text: string): string =>
  wrap(text, width - indent)
    .map((line, index) => `${index === 0 ? first.padEnd(indent) : " ".repeat(indent)}${line}`)
    .join("\n")

const linesOf = ({ name, verdict }: Finding): ReadonlyArray<string> => {
  if (verdict._tag === "Ok") return [block(`${"ok".padEnd(label)}${name}`, verdict.seen)]
  if (verdict._tag === "NotChecked") return [block(`${"-".padEnd(label)}${name}`, `not checked: needs ${verdict.needs}`)]
  return verdict.wrong.flatMap(({ cure, detail }) => [
    block(`${"wrong".padEnd(label)}${name}`, detail),
    block(`${" ".repeat(label)}what to do`, cure)
  ])
}

const summary = (findings: ReadonlyArray<Finding>): string => {
  const many = (tag: Finding["verdict"]["_tag"]) => findings.filter(({ verdict }) => verdict._tag === tag).length
  const parts = [`${many("Ok")} ok`, `${many("Wrong")} wrong`, `${many("NotChecked")} not checked`]
  return `${count(findings.length, "check")}: ${parts.join(", ")}.`
}

/** The report in words: a line or more for each check, of at most 80 characters each, then how many there were. */
export const inWords = (findings: ReadonlyArray<Finding>): string =>
  [...findings.flatMap(linesOf), "", summary(findings)].join("\n")

const asObject = ({ name, verdict }: Finding) => {
  if (verdict._tag === "Ok") return { check: name, result: "ok", detail: verdict.seen }
  if (verdict._tag === "NotChecked") return { check: name, result: "not checked", needs: verdict.needs }
  return { check: name, result: "wrong", problems: verdict.wrong.map(({ cure, detail }) => ({ detail, whatToDo: cure })) }
}

/** The report for programs. */
export const asJson = (findings: ReadonlyArray<Finding>) => ({
  ok: findings.every(({ verdict }) => verdict._tag !== "Wrong"),
  findings: findings.map(asObject)
})
