import type { IncomingMessage } from "node:http"
import type { Bucket, Upload } from "./files.ts"
import { invalidBody, invalidBucketName, tooLarge } from "./refusals.ts"

/** Supabase's limit for a file, unless the bucket has a lower one. */
const LARGEST_BYTES = 50 * 1024 * 1024

/** The body. Read to its end even if it is too large, because a client that still writes does not read the refusal. */
const readBody = async (request: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> => {
  const parts: Array<Buffer> = []
  let length = 0
  for await (const part of request) {
    length += part.length
    if (length <= LARGEST_BYTES) parts.push(part)
  }
  if (length > LARGEST_BYTES) throw tooLarge()
  return new Uint8Array(Buffer.concat(parts))
}

export const readJson = async (request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> => {
  const text = new TextDecoder().decode(await readBody(request))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalidBody("Body is not valid JSON")
  }
  if (typeof value !== "object" || value === null) throw invalidBody("body must be object")
  return { ...value }
}

/** The file of an upload: the body itself, or the file of a form, as storage-js sends a Blob. */
export const readUpload = async (request: IncomingMessage): Promise<Upload> => {
  const type = request.headers["content-type"] ?? "application/octet-stream"
  const body = await readBody(request)
  if (!type.startsWith("multipart/form-data")) {
    return { bytes: body, contentType: type, cacheControl: request.headers["cache-control"] ?? "no-cache" }
  }
  const form = await new Response(body, { headers: { "content-type": type } }).formData()
  const file = [...form.values()].find((value) => value instanceof File)
  if (file === undefined) throw invalidBody("No content provided")
  const seconds = form.get("cacheControl")
  return {
    bytes: new Uint8Array(await file.arrayBuffer()),
    contentType: file.type,
    cacheControl: typeof seconds === "string" ? `max-age=${seconds}` : "no-cache"
  }
}

const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

const bytesOf = (limit: unknown): number | null => {
  if (limit === undefined || limit === null) return null
  const [, amount, unit] = /^(\d+)(B|KB|MB|GB)?$/i.exec(String(limit)) ?? []
  if (amount === undefined) throw invalidBody("Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B")
  return Number(amount) * (UNITS[(unit ?? "B").toUpperCase()] ?? 1)
}

/** The bucket that a body describes. */
export const bucketOf = (body: Readonly<Record<string, unknown>>): Bucket => {
  const { allowed_mime_types: types, file_size_limit: limit, id, name, public: isPublic } = body
  if (typeof name !== "string") throw invalidBody("body must have required property 'name'")
  const bucket = typeof id === "string" ? id : name
  if (!/^[\w!.*'() &$@=;:+,?-]{1,100}$/.test(bucket)) throw invalidBucketName()
  return {
    id: bucket,
    public: isPublic === true,
    fileSizeLimit: bytesOf(limit),
    allowedMimeTypes: Array.isArray(types) ? types.map(String) : null
  }
}
