import { getDocument, VerbosityLevel } from "pdfjs-dist/legacy/build/pdf.mjs"

/** One element of the tree that a screen reader follows. **Shape** `text` is all text below it. */
interface Tag {
  readonly role: string
  readonly text: string
  readonly children: ReadonlyArray<Tag>
}

interface Node {
  readonly role?: string
  readonly id?: string
  readonly type?: string
  readonly children?: ReadonlyArray<Node>
}

/** What a PDF reader can see. */
interface Reading {
  readonly title: unknown
  readonly language: string | null
  readonly isMarked: boolean
  /** Each tagged text. */
  readonly texts: ReadonlyArray<string>
  /** All text of each page, including artifacts. */
  readonly pages: ReadonlyArray<string>
  /** The tags of each page. */
  readonly tags: ReadonlyArray<ReadonlyArray<Tag>>
}

const toTag = (node: Node, texts: ReadonlyMap<string, string>): Tag => {
  const children = (node.children ?? []).filter(({ role }) => role !== undefined).map((child) => toTag(child, texts))
  const own = (node.children ?? []).map((child) => (child.id === undefined ? "" : (texts.get(child.id) ?? ""))).join("")
  return { role: node.role ?? "", text: (own + children.map(({ text }) => text).join("")).trim(), children }
}

const leaves = ({ children, text }: Tag): ReadonlyArray<string> =>
  children.length === 0 ? [text] : children.flatMap(leaves)

/** Reads a PDF with pdf.js. */
export const readPdf = async (bytes: Uint8Array): Promise<Reading> => {
  const task = getDocument({ data: new Uint8Array(bytes), verbosity: VerbosityLevel.ERRORS, useSystemFonts: false })
  const document = await task.promise
  const [{ info }, markInfo] = await Promise.all([document.getMetadata(), document.getMarkInfo()])
  const read = await Promise.all(
    Array.from({ length: document.numPages }, async (_, index) => {
      const page = await document.getPage(index + 1)
      const { items, lang } = await page.getTextContent({ includeMarkedContent: true })
      const texts = new Map<string, string>()
      let id: string | undefined
      for (const item of items) {
        if ("str" in item) {
          if (id !== undefined) texts.set(id, (texts.get(id) ?? "") + item.str + (item.hasEOL ? " " : ""))
        } else id = item.type === "endMarkedContent" ? undefined : item.id
      }
      const tree = await page.getStructTree()
      const tags = (tree?.children ?? []).map((node) => toTag(node, texts))
      const text = items.map((item) => ("str" in item ? item.str : "")).join("\n")
      return { lang, tags, text }
    })
  )
  const tags = read.map((page) => page.tags)
  await task.destroy()
  return {
    title: "Title" in info ? info.Title : undefined,
    language: read[0]?.lang ?? null,
    isMarked: markInfo instanceof Map && markInfo.get("Marked") === true,
    texts: tags.flat().flatMap(leaves),
    pages: read.map(({ text }) => text),
    tags
  }
}
