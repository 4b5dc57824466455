import * as http from "node:http"
import { once } from "node:events"
import type { Upstream } from "../gateway.ts"
import type { Keys } from "../keys.ts"
import { LOOPBACK } from "../ports.ts"
import { type Bucket, type Files, openFiles, type Upload } from "./files.ts"
import * as refusals from "./refusals.ts"
import { bucketOf, readJson, readUpload } from "./requests.ts"
import { checkToken, signObject } from "./tokens.ts"

/** A fault instead of the answer: a status, no answer, or no answer although the request was done. */
type StorageFault = number | "disconnect" | "do and disconnect"

/** Stands in for Supabase Storage: buckets, uploads, signed URLs. */
export interface Storage extends AsyncDisposable {
  readonly upstream: () => Upstream
  /** Faults for the next requests, one each. */
  readonly fail: (...faults: ReadonlyArray<StorageFault>) => void
  /** How many uploads were stored, by bucket and key: "invoices/1.pdf". */
  readonly uploads: ReadonlyMap<string, number>
}

type StorageKeys = Pick<Keys, "serviceToken" | "anonToken" | "jwtSecret">

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

const json = (value: object): Answer => ({
  status: 200,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: JSON.stringify(value)
})

const authorize = (request: http.IncomingMessage, keys: StorageKeys): void => {
  const { authorization } = request.headers
  if (authorization === undefined) throw refusals.noCredentials()
  // This stack has no policies, so every role that needs one is refused.
  if (authorization === `Bearer ${keys.anonToken}`) throw refusals.notAllowed()
  if (authorization !== `Bearer ${keys.serviceToken}`) throw refusals.unknownCredentials()
}

const checkFits = ({ allowedMimeTypes, fileSizeLimit }: Bucket, { bytes, contentType }: Upload): void => {
  if (fileSizeLimit !== null && bytes.length > fileSizeLimit) throw refusals.tooLarge()
  const [type = ""] = contentType.split(";")
  const allowed = allowedMimeTypes?.some((wanted) => wanted === type || wanted === `${type.split("/")[0]}/*`) ?? true
  if (!allowed) throw refusals.wrongType(type)
}

const upload = async (request: http.IncomingMessage, files: Files, bucketId: string, key: string) => {
  const file = await readUpload(request)
  const bucket = await files.bucket(bucketId)
  checkFits(bucket, file)
  const upsert = request.headers["x-upsert"] === "true" || request.method === "PUT"
  if (request.method === "PUT") await files.facts(bucketId, key)
  return files.save(bucketId, key, file, upsert)
}

const download = async (files: Files, bucket: string, key: string): Promise<Answer> => {
  const [facts, bytes] = await Promise.all([files.facts(bucket, key), files.bytes(bucket, key)])
  const headers = {
    "content-type": facts.contentType,
    "cache-control": facts.cacheControl,
    "content-length": String(bytes.length),
    "last-modified": new Date(facts.savedAt).toUTCString(),
    etag: facts.etag
  }
  return { status: 200, headers, body: bytes }
}

const ROUTE = /^\/object\/(?:(sign)\/)?([^/?]+)\/([^?]+)$/

const objectOf = (pathname: string) => {
  const [, sign, bucket, key] = ROUTE.exec(pathname) ?? []
  if (bucket === undefined || key === undefined) throw refusals.noSuchRoute(pathname)
  const name = decodeURIComponent(key)
  if (!/^[\w/!.*'() &$@=;:+,?-]+$/.test(name)) throw refusals.invalidKey(name)
  return { isSigned: sign !== undefined, bucket: decodeURIComponent(bucket), key: name }
}

/** Serves Storage on its own port, with the files in `directory`. */
export const startStorage = async (directory: string, keys: StorageKeys): Promise<Storage> => {
  const files = openFiles(directory)
  const faults: Array<StorageFault> = []
  const uploads = new Map<string, number>()

  const serve = async (request: http.IncomingMessage): Promise<Answer> => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://storage")
    const route = `${request.method} ${pathname}`
    if (route === "POST /bucket" || route === "POST /bucket/") {
      authorize(request, keys)
      const bucket = bucketOf(await readJson(request))
      await files.createBucket(bucket)
      return json({ name: bucket.id })
    }
    const { bucket, isSigned, key } = objectOf(pathname)
    const object = `${bucket}/${key}`
    if (request.method === "GET" && isSigned) {
      checkToken(keys.jwtSecret, object, searchParams.get("token") ?? "")
      return download(files, bucket, key)
    }
    if (request.method !== "POST" && (request.method !== "PUT" || isSigned)) throw refusals.noSuchRoute(pathname)
    authorize(request, keys)
    if (isSigned) {
      const { expiresIn } = await readJson(request)
      if (!Number.isInteger(expiresIn) || Number(expiresIn) < 1) {
        throw refusals.invalidBody("body/expiresIn must be integer >= 1")
      }
      await files.facts(bucket, key)
      const token = signObject(keys.jwtSecret, object, Number(expiresIn))
      return json({ signedURL: `/object/sign/${object}?token=${token}` })
    }
    const { id } = await upload(request, files, bucket, key)
    uploads.set(object, (uploads.get(object) ?? 0) + 1)
    return json({ Id: id, Key: object })
  }

  const answerOf = (request: http.IncomingMessage): Promise<Answer> =>
    serve(request).catch((cause: unknown) => {
      const refusal = cause instanceof refusals.Refusal ? cause : refusals.fault(500)
      return { status: refusal.status, headers: { "content-type": "application/json" }, body: refusal.body }
    })

  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const fault = faults.shift()
    if (fault === "disconnect") return void request.socket.destroy()
    if (typeof fault === "number") {
      request.resume()
      const { body } = refusals.fault(fault)
      return void response.writeHead(fault, { "content-type": "application/json" }).end(body)
    }
    const { body, headers, status } = await answerOf(request)
    if (fault === "do and disconnect") return void request.socket.destroy()
    request.resume()
    response.writeHead(status, headers).end(body)
  }

  const server = http.createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 75_000
  server.listen(0, LOOPBACK)
  await once(server, "listening")
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    uploads,
    upstream: () => ({ port }),
    fail: (...more) => void faults.push(...more),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
