import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

const WIDTH = 80

/** Breaks a line at spaces, and indents the rest like its first part. Commands stay whole, to be copied. */
const fit = (line: string): string => {
  const indent = /^ *(?:- )?/.exec(line)?.[0].length ?? 0
  if (line.length <= WIDTH || /^ +(?:npx|npm|curl|select) /.test(line)) return line
  const rows: Array<string> = []
  for (const word of line.slice(indent).split(" ")) {
    const last = rows.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) rows[rows.length - 1] = `${last} ${word}`
    else rows.push(rows.length === 0 ? line.slice(0, indent) + word : " ".repeat(indent) + word)
  }
  return rows.join("\n")
}

/** Lines of text, none wider than 80 columns. */
export const layOut = (lines: ReadonlyArray<string>): string =>
  lines
    .flatMap((line) => line.split("\n"))
    .map(fit)
    .join("\n")

/** The one place that prints: text for people or, with --json, one line of JSON for programs. */
export class Output extends Context.Service<
  Output,
  {
    readonly json: boolean
    /** Prints the result on stdout, once: text, or the value as JSON. */
    readonly report: (lines: ReadonlyArray<string>, value: unknown) => Effect.Effect<void>
    /** Prints progress on stderr. Prints nothing with --json. */
    readonly note: (...lines: ReadonlyArray<string>) => Effect.Effect<void>
    /** Prints why the command failed. Text goes to stderr, JSON to stdout. */
    readonly failure: (lines: ReadonlyArray<string>, value: unknown) => Effect.Effect<void>
  }
>()("pause-status-webhook-handler/cli/Output") {
  static readonly text = Output.of({
    json: false,
    report: (lines) => Console.log(layOut(lines)),
    note: (...lines) => Console.error(layOut(lines)),
    failure: (lines) => Console.error(layOut(lines))
  })

  static readonly json = Output.of({
    json: true,
    report: (_, value) => Console.log(JSON.stringify(value)),
    note: () => Effect.void,
    failure: (_, value) => Console.log(JSON.stringify(value))
  })
}
