import { create, type Font } from "fontkit"
// eslint-disable-next-line import/no-named-as-default -- its types have the default export only
import PDFDocument from "pdfkit"
import { type Covered, printed } from "./Characters.ts"
import type { Invoice } from "./Invoice.ts"
import { drawTable } from "./InvoiceTable.ts"
import { fonts as fontNames, Sheet } from "./Sheet.ts"

/** An invoice's font, in two weights. */
export interface Fonts {
  readonly regular: Font
  readonly bold: Font
}

/** The font as TrueType files, and the characters that both have. */
export interface FontFiles {
  readonly regular: Uint8Array
  readonly bold: Uint8Array
  readonly covered: Covered
}

/**
 * Reads the font files once for all invoices. pdfkit would read them again for each, which takes longer than the rest.
 *
 * A font stores each glyph with the first character that was requested for it, or with none if it was a part of another
 * glyph, as ω is of ώ. Requesting all characters now keeps an invoice's text independent of earlier invoices.
 */
export const openFonts = ({ bold, covered, regular }: FontFiles): Fonts => {
  const open = (file: Uint8Array): Font => {
    const font = create(file)
    for (const [first, last] of covered) {
      for (let point = first; point <= last; point++) font.glyphForCodePoint(point)
    }
    return font
  }
  return { regular: open(regular), bold: open(bold) }
}

/**
 * Draws an invoice. The same invoice gives the same bytes: the only date in the file is the order's, and the file's id
 * is a digest of its title and date.
 *
 * The PDF is tagged: title and language, one H1, an H2 for each part, and a table with header cells, in reading order.
 * Rules, page numbers and repeated table headers are artifacts, which are not read aloud.
 */
export const drawInvoice = (invoice: Invoice, fonts: Fonts): PDFKit.PDFDocument => {
  const { createdAt, customer, date, orderId, seller, total, words } = invoice
  const document = new PDFDocument({
    size: "A4",
    margins: { top: 56, bottom: 64, left: 56, right: 56 },
    pdfVersion: "1.7",
    tagged: true,
    lang: words.language,
    displayTitle: true,
    bufferPages: true,
    autoFirstPage: false,
    // Otherwise, it looks for Helvetica.
    font: "",
    info: {
      Title: `${words.invoice} ${orderId}`,
      CreationDate: createdAt,
      Creator: "order-created",
      Producer: "PDFKit"
    }
  })
  document.registerFont(fontNames.regular, fonts.regular)
  document.registerFont(fontNames.bold, fonts.bold)
  const sheet = new Sheet(document)
  const root = document.struct("Document")
  document.addStructure(root)
  document.addPage()

  for (const [index, line] of seller.entries()) {
    sheet.paragraph(root, "P", printed(line), { size: 9, gray: true, bold: index === 0, align: "right" })
  }
  sheet.paragraph(root, "H1", words.invoice, { size: 24, bold: true, before: -6, after: 8 })
  sheet.paragraph(root, "P", `${words.orderNumber}: ${orderId}`, { size: 10 })
  sheet.paragraph(root, "P", `${words.date}: ${printed(date)}`, { size: 10, after: 16 })
  sheet.paragraph(root, "H2", words.billedTo, { size: 11, bold: true, after: 2 })
  for (const line of customer) sheet.paragraph(root, "P", printed(line), { size: 10 })
  sheet.paragraph(root, "H2", words.items, { size: 11, bold: true, before: 16, after: 4 })
  drawTable(sheet, root, invoice)
  sheet.paragraph(root, "P", `${words.total}: ${printed(total)}`, { size: 13, bold: true, before: 10, align: "right" })
  root.end()
  sheet.numberPages((page, pages) => words.page(invoice.count(page), invoice.count(pages)))
  document.end()
  return document
}
