import { brotliDecompressSync, gunzipSync } from "node:zlib"

/** A reply as it came over the wire. Header names are in lower case. */
export interface WireReply {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

interface Taken {
  readonly reply: WireReply
  readonly rest: Buffer
}

const END_OF_HEAD = "\r\n\r\n"

const headersOf = (lines: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(
    lines.map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
  )

/** The text of a body; a server may compress it for a client that says it can read that. */
export const textOf = ({ body, headers }: WireReply): string => {
  if (body.length === 0) return ""
  switch (headers.get("content-encoding")) {
    case undefined:
      return body.toString()
    case "br":
      return brotliDecompressSync(body).toString()
    default:
      return gunzipSync(body).toString()
  }
}

/** The body in chunks, and what follows it; nothing while it is not whole. */
const unchunk = (bytes: Buffer): readonly [body: Buffer, rest: Buffer] | undefined => {
  const chunks: Array<Buffer> = []
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf("\r\n", at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16)
    const from = lineEnd + 2
    if (bytes.length < from + size + 2) return undefined
    if (size === 0) return [Buffer.concat(chunks), bytes.subarray(from + 2)]
    chunks.push(bytes.subarray(from, from + size))
    at = from + size + 2
  }
}

/** The first whole reply in what was received, and what is left; nothing while there is none. */
export const takeReply = (received: Buffer, method: string, closed: boolean): Taken | undefined => {
  const headEnd = received.indexOf(END_OF_HEAD)
  if (headEnd === -1) return undefined
  const [statusLine = "", ...lines] = received.subarray(0, headEnd).toString("latin1").split("\r\n")
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? 0)
  const headers = headersOf(lines)
  const after = received.subarray(headEnd + END_OF_HEAD.length)
  if (status >= 100 && status < 200) return takeReply(after, method, closed)
  if (method === "HEAD" || status === 204 || status === 304) {
    return { reply: { status, headers, body: Buffer.alloc(0) }, rest: after }
  }
  if (headers.get("transfer-encoding") === "chunked") {
    const parts = unchunk(after)
    return parts && { reply: { status, headers, body: parts[0] }, rest: parts[1] }
  }
  const length = headers.get("content-length")
  if (length === undefined && !closed) return undefined
  const size = length === undefined ? after.length : Number(length)
  if (after.length < size) return undefined
  return { reply: { status, headers, body: after.subarray(0, size) }, rest: after.subarray(size) }
}
