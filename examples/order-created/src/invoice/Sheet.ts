/** The names of a document's fonts. */
export const fonts = { regular: "regular", bold: "bold" } as const

/** **Units** points. */
export interface Style {
  readonly size: number
  readonly bold?: boolean
  readonly gray?: boolean
  readonly align?: "left" | "right"
  readonly before?: number
  readonly after?: number
}

const ink = "#1a1a1a"
const gray = "#555555"

/** A document that is written from top to bottom, page by page. It computes positions itself, because pdfkit's own page
 * breaks would split a row. */
export class Sheet {
  readonly document: PDFKit.PDFDocument

  constructor(document: PDFKit.PDFDocument) {
    this.document = document
  }

  get left(): number {
    return this.document.page.margins.left
  }

  get width(): number {
    return this.document.page.width - this.left - this.document.page.margins.right
  }

  private get bottom(): number {
    return this.document.page.height - this.document.page.margins.bottom
  }

  /** Starts a page unless there is room. Returns whether it did. */
  makeRoom(height: number): boolean {
    if (this.document.y + height <= this.bottom) return false
    this.document.addPage()
    return true
  }

  use({ bold = false, gray: isGray = false, size }: Style): PDFKit.PDFDocument {
    return this.document
      .font(bold ? fonts.bold : fonts.regular)
      .fontSize(size)
      .fillColor(isGray ? gray : ink)
  }

  /** A paragraph over the whole width, with its tag. */
  paragraph(parent: PDFKit.PDFStructureElement, tag: string, text: string, style: Style): void {
    const { after = 2, align = "left", before = 0 } = style
    const { left, width } = this
    const options = { width, align }
    const height = this.use(style).heightOfString(text, options)
    if (!this.makeRoom(before + height)) this.document.y += before
    const y = this.document.y
    parent.add(this.document.struct(tag, {}, () => this.use(style).text(text, left, y, options)))
    this.document.y = y + height + after
  }

  /** Visible, but not read aloud. */
  artifact(type: "Layout" | "Pagination", draw: () => void): void {
    this.document.markContent("Artifact", { type })
    draw()
    this.document.endMarkedContent()
  }

  /** A line over the whole width. */
  rule(y: number, weight: number): void {
    this.artifact("Layout", () => {
      this.document
        .moveTo(this.left, y)
        .lineTo(this.left + this.width, y)
        .lineWidth(weight)
        .strokeColor(weight < 1 ? "#bbbbbb" : ink)
        .stroke()
    })
  }

  /** Numbers the pages at the bottom, once all exist. */
  numberPages(label: (page: number, pages: number) => string): void {
    const { count, start } = this.document.bufferedPageRange()
    for (let page = 0; page < count; page++) {
      this.document.switchToPage(start + page)
      this.artifact("Pagination", () => {
        const text = label(page + 1, count)
        const x = this.left + this.width - this.use({ size: 8, gray: true }).widthOfString(text)
        this.document.text(text, x, this.bottom + 24, { lineBreak: false })
      })
    }
  }
}
