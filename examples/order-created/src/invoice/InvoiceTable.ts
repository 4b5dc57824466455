import { printed } from "./Characters.ts"
import type { Invoice, InvoiceRow } from "./Invoice.ts"
import type { Sheet } from "./Sheet.ts"

interface Column {
  readonly key: keyof InvoiceRow
  readonly title: string
  readonly x: number
  readonly width: number
  readonly align: "left" | "right"
}

interface Layout {
  readonly size: number
  readonly columns: ReadonlyArray<Column>
}

const gap = 12
const padding = 4
const narrowest = 110
const sizes = [9, 8, 7, 6]
const headSize = 8

const widthOf = (widths: ReadonlyArray<number>) => widths.reduce((total, width) => total + width + gap, 0)

// Numbers never wrap: their columns are as wide as the widest number, and the description gets the rest.
const layOut = (sheet: Sheet, { rows, words }: Invoice): Layout => {
  const numbers = ["quantity", "unitPrice", "amount"] as const
  const titles = { quantity: words.quantity, unitPrice: words.unitPrice, amount: words.amount }
  const widthAt = (size: number) => (key: (typeof numbers)[number]) => {
    const head = sheet.use({ size: headSize, bold: true }).widthOfString(titles[key])
    const document = sheet.use({ size })
    return Math.ceil(Math.max(head, ...rows.map((row) => document.widthOfString(printed(row[key]))))) + 1
  }
  const size = sizes.find((size) => sheet.width - widthOf(numbers.map(widthAt(size))) >= narrowest) ?? 6
  const widths = numbers.map(widthAt(size))
  const description = sheet.width - widthOf(widths)
  let x = sheet.left + description
  const columns = numbers.map((key, index): Column => {
    const width = widths[index] ?? 0
    const column = { key, title: titles[key], x: x + gap, width, align: "right" } as const
    x += gap + width
    return column
  })
  const first = {
    key: "description",
    title: words.description,
    x: sheet.left,
    width: description,
    align: "left"
  } as const
  return { size, columns: [first, ...columns] }
}

const drawHead = (sheet: Sheet, { columns }: Layout, cell: (draw: () => void) => void): void => {
  const y = sheet.document.y
  for (const { align, title, width, x } of columns) {
    cell(() => sheet.use({ size: headSize, bold: true }).text(title, x, y, { width, align, height: headSize * 2 }))
  }
  sheet.document.y = y + headSize * 1.4 + padding
  sheet.rule(sheet.document.y, 1)
  sheet.document.y += padding
}

/** The table of an invoice's items. A row stays on one page, and each page starts with the table's header. */
export const drawTable = (sheet: Sheet, parent: PDFKit.PDFStructureElement, invoice: Invoice): void => {
  const { document } = sheet
  const layout = layOut(sheet, invoice)
  const headHeight = headSize * 1.4 + 2 * padding
  const heightOf = (row: InvoiceRow): number =>
    Math.max(
      ...layout.columns.map(({ key, width }) =>
        sheet.use({ size: layout.size }).heightOfString(printed(row[key]), { width })
      )
    )

  const table = document.struct("Table")
  const [head, body, headRow] = [document.struct("THead"), document.struct("TBody"), document.struct("TR")]
  const [first] = invoice.rows
  sheet.makeRoom(headHeight + (first === undefined ? 0 : heightOf(first)))
  parent.add(table)
  table.add(head)
  head.add(headRow)
  drawHead(sheet, layout, (draw) => headRow.add(document.struct("TH", { scope: "Column" }, draw)))
  table.add(body)

  for (const row of invoice.rows) {
    const height = heightOf(row)
    if (sheet.makeRoom(height + padding)) {
      // The header's rule is its own artifact, so each title is one, too.
      drawHead(sheet, layout, (draw) => sheet.artifact("Pagination", draw))
    }
    const y = document.y
    const tableRow = document.struct("TR")
    body.add(tableRow)
    for (const { align, key, width, x } of layout.columns) {
      const draw = () => sheet.use({ size: layout.size }).text(printed(row[key]), x, y, { width, align })
      tableRow.add(document.struct("TD", {}, draw))
    }
    sheet.rule(y + height + padding / 2, 0.5)
    document.y = y + height + padding
  }
}
