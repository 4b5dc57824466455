// Leaves out of pdfkit and fontkit what an invoice never calls: half of their code.
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import type { Plugin } from "rolldown"
import { transform } from "rolldown/utils"

// fontkit's built file is one module, which a bundler keeps or drops as a whole. The package has its sources as well.
const fontkit = join(dirname(fileURLToPath(import.meta.resolve("fontkit"))), "../src")

// The font is TrueType, neither variable nor coloured. Its letters do not change with their neighbours, as Arabic ones do.
const unused = new RegExp(
  `^(?:${[
    "(?:DFont|TrueTypeCollection|WOFF2?Font)",
    "aat/AATLayoutEngine",
    "cff/CFFFont",
    "glyph/(?:CFFGlyph|COLRGlyph|GlyphVariationProcessor|SBIXGlyph)",
    "opentype/shapers/(?:Arabic|Hangul|Indic|Universal)Shaper",
    "subset/CFFSubset",
    "tables/(?:avar|BASE|bsln|COLR|CPAL|DSIG|EBLC|feat|fvar|gasp|gvar|hdmx|HVAR|JSTF|just|LTSH|morx|opbd|PCLT)",
    "tables/(?:sbix|VDMX|vhea|vmtx|VORG)"
  ].join("|")})$`
)

// No font has such a format, a table that cannot be decoded counts as absent, and a script says what it lacks.
const absent = `export default class {
  static probe() { return false }
  static plan() { throw new Error("The bundle lacks the shaper of this script; see build/withoutUnused.ts") }
}`

/** What to replace in pdfkit's built file, which is one module, too. */
const replacements: ReadonlyArray<readonly [what: string | RegExp, by: string]> = [
  ["mixin(AcroFormMixin)", "mixin({ endAcroForm() {} })"],
  ["mixin(AttachmentsMixin)", ""],
  ["mixin(ImagesMixin)", "mixin({ initImages() {} })"],
  ["mixin(SubsetMixin)", "mixin({ initSubset() {} })"],
  ["mixin(TableMixin)", "mixin({ initTables() {} })"],
  [
    // All of the encryption but the digest that identifies a file.
    /class PDFSecurity \{\n {2}static (generateFileID\([^]+?\n {2}\})\n[^]+?\n\}\n/,
    "const PDFSecurity = { create: () => null, $1 }\n"
  ]
]

const replaceAll = (code: string): string => {
  let replaced = code
  for (const [what, by] of replacements) {
    const before = replaced
    replaced = replaced.replace(what, by)
    if (replaced === before) throw new Error(`This version of pdfkit has no ${String(what)}; see withoutUnused.ts`)
  }
  return replaced
}

export const withoutUnused: Plugin = {
  name: "without what an invoice does not have",
  resolveId: (path, importer = "") => {
    if (path === "fontkit") return join(fontkit, "index.js")
    // Only WOFF2 fonts need it. Its dictionary alone would be half of the bundle.
    if (path === "brotli/decompress.js") return "\0absent"
    if (!path.startsWith(".") || !importer.startsWith(fontkit)) return null
    return unused.test(relative(fontkit, join(dirname(importer), path))) ? "\0absent" : null
  },
  load: (id) => (id === "\0absent" ? absent : null),
  transform: (code, id) => {
    if (id.endsWith("/pdfkit/js/pdfkit.browser.mjs")) return replaceAll(code)
    if (!id.startsWith(fontkit)) return null
    // An import of what does not exist, and is not used.
    return transform(id, code.replace("{ encodingExists, ", "{ "), { decorator: { legacy: true } })
  }
}
