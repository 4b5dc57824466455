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

/** A run for people to read. */
export const printable = (report: FuzzReport): string => {
  const { deno, faults, inputs, megabytes, milliseconds, seconds, seed, surprises, told } = report
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
    `seed ${seed}, Deno ${deno}: ${inputs} inputs in ${seconds.toFixed(1)} s (${Math.round(inputs / seconds)}/s), ${told} of them genuine`,
    `answered in ${milliseconds.p50} ms (p50), ${milliseconds.p99} ms (p99), ${milliseconds.max} ms (max)`,
    `memory of the function: ${megabytes.warm} MB warm, ${megabytes.end} MB at the end, ${megabytes.peak} MB at most`,
    ...(faults.length === 0 ? ["0 surprises"] : faults.map((fault) => `WRONG: ${fault}`))
  ].join("\n")
}
