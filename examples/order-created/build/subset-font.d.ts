declare module "subset-font" {
  export interface Options {
    readonly targetFormat: "truetype"
    readonly keepFeatures?: ReadonlyArray<string>
    readonly preserveNameIds?: ReadonlyArray<number>
    readonly noHinting?: boolean
  }
  const subsetFont: (font: Buffer, text: string, options: Options) => Promise<Buffer>
  export default subsetFont
}
