import type { EChartsOption } from "echarts"

interface Asked {
  /** Fewer rounds and smaller sizes: enough to see that everything works, and the order of magnitude. */
  readonly quick: boolean
  readonly say: (text: string) => void
}

export interface Table {
  readonly title: string
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

export interface Plot {
  /** The name of the file in docs/plots, without its ending. */
  readonly name: string
  readonly title: string
  readonly option: EChartsOption
}

/** Text that is too long for the page. It becomes a file in docs/benchmarks. */
interface Appendix {
  readonly name: string
  readonly text: string
}

/** The project's own budget. */
export interface Budget {
  readonly what: string
  readonly found: number
  readonly atMost?: number
  readonly atLeast?: number
  readonly unit: "×" | "KB" | "ms" | "statements" | "rows"
}

export const isMet = ({ atLeast = -Infinity, atMost = Infinity, found }: Budget): boolean =>
  found >= atLeast && found <= atMost

export interface Answer {
  readonly budgets?: ReadonlyArray<Budget>
  /** What goes into bench/results.json. */
  readonly figures: unknown
  readonly tables: ReadonlyArray<Table>
  readonly plots?: ReadonlyArray<Plot>
  readonly appendices?: ReadonlyArray<Appendix>
}

/** One question, answered by measuring. Each bench/<name>.ts asks one. */
export type Ask = (asked: Asked) => Promise<Answer>

export class BenchError extends Error {
  override readonly name = "BenchError"
}

/** Checked before and after the clock runs: times mean nothing if the answers differ. */
export const expectEqual = (what: string, found: unknown, expected: unknown): void => {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)]
  if (left !== right) throw new BenchError(`${what}: expected ${right}, found ${left}. Nothing was timed.`)
}
