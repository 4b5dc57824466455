// What pdfkit 0.20 has, and its types do not.
declare namespace PDFKit.Mixins {
  interface StructureElementOptions {
    readonly scope?: "Row" | "Column" | "Both"
  }
  interface PDFFont {
    registerFont(name: string, font: import("fontkit").Font): this
  }
}

declare module "fontkit" {
  export interface Font {
    glyphForCodePoint(point: number): unknown
  }
  export const create: (bytes: Uint8Array) => Font
}
