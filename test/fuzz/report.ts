import { markdownTable } from "../../local/benchmarksPage.ts"
import { table } from "../../local/demo/table.ts"
import type { FuzzReport, Surprise } from "./fuzz.ts"
import type { Piece } from "./Input.ts"

const SHOWN_SURPRISES = 10
const SHOWN_CHARACTERS = 2_000

const sorted = (counts: ReadonlyMap<string, number>) => [...counts].toSorted(([, one], [, other]) => other - one)

const sumOf = (counts: ReadonlyMap<string, number>): number => counts.values().reduce((sum, count) => sum + count, 0)

const classesOf = ({ answers }: FuzzReport): ReadonlyMap<string, number> => {
  const classes = new Map<string, number>()
  for (const counts of answers.values()) {
    for (const [word, count] of counts) classes.set(word, (classes.get(word) ?? 0) + count)
  }
  return classes
}

const pieceText = (piece: Piece): string => {
  if (typeof piece === "number") return `(waits ${piece} ms)`
  if (typeof piece === "string") return `(${piece})`
  const text = JSON.stringify(piece.toString("latin1"))
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}… ${piece.length} bytes`
}

/** What was said and answered, and how to say it again. */
const describe = ({ deno, seed }: FuzzReport, { index, input, what, words }: Surprise): string =>
  [
    `${input.kind} was answered ${words.join(", ")}`,
    ...what.map((line) => `  ${line}`),
    ...input.pieces.map((piece) => `  > ${pieceText(piece)}`),
    `  again: npm run fuzz -- --seed ${seed} --deno ${deno} --only ${index}`
  ].join("\n")

const inputsOf = ({ inputs, seconds, told }: FuzzReport): string =>
  `${inputs} inputs in ${seconds.toFixed(1)} s (${Math.round(inputs / seconds)}/s), ${told} of them genuine`

const timesOf = ({ milliseconds: { max, p50, p99 } }: FuzzReport): string =>
  `${p50} ms (p50), ${p99} ms (p99), ${max} ms (max)`

const memoryOf = ({ megabytes: { end, peak, warm } }: FuzzReport): string =>
  `${warm} MB warm, ${end} MB at the end, ${peak} MB at most`

/** A run for people to read. */
export const printable = (report: FuzzReport): string => {
  const { deno, faults, seed, surprises } = report
  const kinds = [...report.answers].toSorted(([, one], [, other]) => sumOf(other) - sumOf(one))
  return [
    ...surprises.slice(0, SHOWN_SURPRISES).map((surprise) => describe(report, surprise)),
    table(
      ["answer", "times"],
      sorted(classesOf(report)).map(([word, count]) => [word, String(count)])
    ),
    table(
      ["kind of input", "answers"],
      kinds.map(([kind, counts]) => [
        kind,
        sorted(counts)
          .map(([word, count]) => `${word} × ${count}`)
          .join(", ")
      ])
    ),
    `seed ${seed}, Deno ${deno}: ${inputsOf(report)}`,
    `answered in ${timesOf(report)}`,
    `memory of the function: ${memoryOf(report)}`,
    ...(faults.length === 0 ? ["0 surprises"] : faults.map((fault) => `WRONG: ${fault}`))
  ].join("\n")
}

/** A run as docs/benchmarks.md keeps it. */
export const section = (report: FuzzReport, command: string, where: string): string => {
  const answers = sorted(classesOf(report)).map(([word, count]) => [word, count.toLocaleString("en")])
  const rows = [
    ["inputs", inputsOf(report)],
    ["answered in", timesOf(report)],
    ["memory of the function", memoryOf(report)],
    ["surprises", String(report.faults.length)]
  ]
  return [
    `    ${command}`,
    markdownTable(["", ""], rows),
    markdownTable(["answer", "times"], answers),
    `<sub>${where}</sub>`
  ].join("\n\n")
}
