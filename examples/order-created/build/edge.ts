// Extra plugins for the bundle of generate-pdf.
import { deflateRawSync } from "node:zlib"
import type { Plugin } from "rolldown"
import { notoSans } from "./notoSans.ts"
import { withoutUnused } from "./withoutUnused.ts"

const packed = (font: Buffer): string => JSON.stringify(deflateRawSync(font, { level: 9 }).toString("base64"))

const moduleOf = ({ bold, covered, regular }: Awaited<ReturnType<typeof notoSans>>): string => `
const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
export const load = async () => {
  const [regular, bold] = await Promise.all([unpack(${packed(regular)}), unpack(${packed(bold)})])
  return { regular, bold, covered: ${JSON.stringify(covered)} }
}`

const withFont: Plugin = {
  name: "with the finished font",
  load: async (id) =>
    id.endsWith("/invoice/NotoSans.ts") ? { code: moduleOf(await notoSans()), moduleType: "js" } : null
}

export const plugins: ReadonlyArray<Plugin> = [withoutUnused, withFont]
