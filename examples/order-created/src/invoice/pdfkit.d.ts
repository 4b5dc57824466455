// What pdfkit 0.20 has, and its types do not.
declare namespace PDFKit.Mixins {
  interface StructureElementOptions {
    readonly scope?: "Row" | "Column" | "Both"
  }
}
