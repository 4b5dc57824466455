// The parts of pdfkit 0.20 that its types lack.
declare namespace PDFKit.Mixins {
  interface StructureElementOptions {
    readonly scope?: "Row" | "Column" | "Both"
  }
  interface PDFFont {
    registerFont(name: string, font: FontkitFont): this
  }
}

interface FontkitFont {
  glyphForCodePoint(point: number): unknown
}

declare module "fontkit" {
  export type Font = FontkitFont
  export const create: (bytes: Uint8Array) => Font
}
