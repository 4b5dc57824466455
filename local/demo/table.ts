/** Breaks a text into lines of at most `width`, at spaces or within a word that is longer than a line. */
export const wrap = (text: string, width: number): ReadonlyArray<string> =>
  text.split("\n").flatMap((line) => {
    const lines = [""]
    for (const piece of line.split(" ").flatMap((word) => cut(word, width))) {
      const last = lines.at(-1) ?? ""
      if (last === "") lines[lines.length - 1] = piece
      else if (last.length + 1 + piece.length <= width) lines[lines.length - 1] = `${last} ${piece}`
      else lines.push(piece)
    }
    return lines
  })

const cut = (word: string, width: number): ReadonlyArray<string> =>
  word.length <= width ? [word] : [word.slice(0, width), ...cut(word.slice(width), width)]

export interface TableOptions {
  /** The maximum width of each column. Default: that of its widest cell. */
  readonly widths?: ReadonlyArray<number>
  readonly rightAligned?: ReadonlyArray<number>
  /** Whether empty lines separate the rows. */
  readonly isSpaced?: boolean
  readonly styleHead?: (text: string) => string
  /** Colours a padded cell. It must not change the visible text. */
  readonly styleCell?: (text: string, column: number) => string
}

const same = (text: string): string => text

/** Lays out rows below a header, in columns two spaces apart. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  { isSpaced = false, rightAligned = [], styleCell = same, styleHead = same, widths = [] }: TableOptions = {}
): string => {
  const wrapped = [head, ...rows].map((row) => row.map((cell, column) => wrap(cell, widths[column] ?? Infinity)))
  const used = head.map((_, column) =>
    Math.max(...wrapped.map((row) => Math.max(0, ...(row[column] ?? []).map((line) => line.length))))
  )
  const align = (text: string, column: number): string =>
    rightAligned.includes(column) ? text.padStart(used[column] ?? 0) : text.padEnd(used[column] ?? 0)
  const layOut = (row: ReadonlyArray<ReadonlyArray<string>>, style: (text: string, column: number) => string) =>
    Array.from({ length: Math.max(...row.map((cell) => cell.length)) }, (_, line) =>
      used.map((_, column) => style(align(row[column]?.[line] ?? "", column), column)).join("  ")
    )
  const [first = [], ...others] = wrapped
  const lines = [...layOut(first, styleHead), used.map((width) => "─".repeat(width)).join("  ")]
  for (const [index, row] of others.entries()) {
    if (isSpaced && index > 0) lines.push("")
    lines.push(...layOut(row, styleCell))
  }
  return lines.map((line) => line.trimEnd()).join("\n")
}
