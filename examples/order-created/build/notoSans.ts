// Makes the font of the invoices: Noto Sans (SIL Open Font License 1.1) without the scripts that are not printed.
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import subsetFont from "subset-font"
import type { Covered } from "../src/invoice/Characters.ts"

const packageName = "@expo-google-fonts/noto-sans"

// The characters of Latin, Greek and Cyrillic names, punctuation, currencies, arrows and a few operators.
const wanted: Covered = [
  [0x20, 0x7e],
  [0xa0, 0x24f],
  [0x259, 0x259],
  [0x2b9, 0x2dd],
  [0x300, 0x345],
  [0x370, 0x52f],
  [0x1e00, 0x1fff],
  [0x2000, 0x206f],
  [0x20a0, 0x20cf],
  [0x2100, 0x214f],
  [0x2190, 0x2193],
  [0x2212, 0x2215],
  [0xfb00, 0xfb04]
]

// Keeps only the features that place combining accents. Kerning makes a font three times as slow to read, and small
// capitals and the like are never used. Features that take letters apart, such as "ị" into "i" and a dot, break pdfkit:
// it keeps one text per glyph, so it would write every later "i" as "ị".
const keepFeatures = ["mark"]
// The font's name, copyright and licence must stay in it.
const preserveNameIds = [0, 1, 2, 3, 4, 5, 6, 13, 14]

const pathOf = (file: string): string => fileURLToPath(import.meta.resolve(`${packageName}/${file}`))

/** The code points of a TrueType font, from the segments of its cmap. */
const codePointsOf = (font: Buffer): ReadonlySet<number> => {
  const table = (tag: string): number => {
    for (let at = 12; at < 12 + 16 * font.readUInt16BE(4); at += 16) {
      if (font.toString("latin1", at, at + 4) === tag) return font.readUInt32BE(at + 8)
    }
    throw new Error(`The font has no table ${tag}`)
  }
  const cmap = table("cmap")
  const subtables = Array.from(
    { length: font.readUInt16BE(cmap + 2) },
    (_, index) => cmap + font.readUInt32BE(cmap + 4 + 8 * index + 4)
  )
  const start = subtables.find((at) => font.readUInt16BE(at) === 4)
  if (start === undefined) throw new Error("The font's cmap has no segments of format 4")
  const bytes = font.readUInt16BE(start + 6)
  const points = new Set<number>()
  for (let at = 0; at < bytes; at += 2) {
    const last = font.readUInt16BE(start + 14 + at)
    const first = font.readUInt16BE(start + 16 + bytes + at)
    for (let point = first; point <= last && point !== 0xffff; point++) points.add(point)
  }
  return points
}

const rangesOf = (points: ReadonlyArray<number>): Covered => {
  const ranges: Array<[number, number]> = []
  for (const point of points) {
    const range = ranges.at(-1)
    if (range !== undefined && range[1] === point - 1) range[1] = point
    else ranges.push([point, point])
  }
  return ranges
}

/** Both weights, and the characters that each has. */
export const notoSans = async (): Promise<{
  readonly regular: Buffer
  readonly bold: Buffer
  readonly covered: Covered
}> => {
  const files = await Promise.all([
    readFile(pathOf("400Regular/NotoSans_400Regular.ttf")),
    readFile(pathOf("700Bold/NotoSans_700Bold.ttf"))
  ])
  const [inRegular, inBold] = files.map(codePointsOf)
  const points = wanted
    .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index))
    .filter((point) => inRegular?.has(point) === true && inBold?.has(point) === true)
  const text = String.fromCodePoint(...points)
  const subset = (font: Buffer) =>
    subsetFont(font, text, { targetFormat: "truetype", keepFeatures, preserveNameIds, noHinting: true })
  const [regular, bold] = await Promise.all(files.map(subset))
  if (regular === undefined || bold === undefined) throw new Error("Noto Sans has lost a weight")
  return { regular, bold, covered: rangesOf(points) }
}
