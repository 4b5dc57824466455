import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { createClient } from "@supabase/supabase-js"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Gateway, startGateway } from "../../local/gateway.ts"
import { createKeys } from "../../local/keys.ts"
import { freePort } from "../../local/ports.ts"
import { startStorage, type Storage } from "../../local/storage/server.ts"
import { signObject } from "../../local/storage/tokens.ts"

const keys = createKeys()
const pdf = new TextEncoder().encode("%PDF-1.7 of a kind")
const asPdf = { contentType: "application/pdf", upsert: true }

let directory: string
let storage: Storage
let gateway: Gateway
let url: string

const clientOf = (key: string) => createClient(url, key).storage
const ours = () => clientOf(keys.serviceKey)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "pause-status-test-"))
  storage = await startStorage(directory, keys)
  const routes = {
    console: () => Promise.resolve(""),
    rest: () => undefined,
    storage: storage.upstream,
    functions: new Map()
  }
  gateway = await startGateway(await freePort(), routes, keys)
  url = `http://127.0.0.1:${gateway.port}`
  assert.isNull((await ours().createBucket("invoices", { public: false })).error)
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await storage?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const upload = (key: string, bytes = pdf, options: object = asPdf) =>
  ours().from("invoices").upload(key, bytes, options)

const sign = async (key: string, seconds = 60) => {
  const { data, error } = await ours().from("invoices").createSignedUrl(key, seconds)
  assert.isNull(error)
  return data?.signedUrl ?? ""
}

describe("the stand-in for Storage, as storage-js knows it", () => {
  it("returns an upload's bytes to anyone with the signed URL", async () => {
    const { data } = await upload("orders/1.pdf")
    assert.strictEqual(data?.path, "orders/1.pdf")
    assert.strictEqual(data?.fullPath, "invoices/orders/1.pdf")
    const response = await fetch(await sign("orders/1.pdf"))
    assert.strictEqual(response.headers.get("content-type"), "application/pdf")
    assert.strictEqual(response.headers.get("cache-control"), "max-age=3600")
    assert.deepStrictEqual(new Uint8Array(await response.arrayBuffer()), pdf)
  })

  it("accepts a Blob, too", async () => {
    const { error } = await ours()
      .from("invoices")
      .upload("blob.pdf", new Blob([pdf], { type: "application/pdf" }))
    assert.isNull(error)
    const response = await fetch(await sign("blob.pdf"))
    assert.strictEqual(response.headers.get("content-type"), "application/pdf")
    assert.deepStrictEqual(new Uint8Array(await response.arrayBuffer()), pdf)
  })

  it("replaces an object only on request", async () => {
    const other = new TextEncoder().encode("%PDF-1.7 of another kind")
    await upload("twice.pdf")
    const { error } = await upload("twice.pdf", other, { contentType: "application/pdf" })
    assert.deepInclude(error, { status: 400, statusCode: "409", message: "The resource already exists" })
    assert.strictEqual((await (await fetch(await sign("twice.pdf"))).arrayBuffer()).byteLength, pdf.length)
    await upload("twice.pdf", other)
    assert.strictEqual((await (await fetch(await sign("twice.pdf"))).arrayBuffer()).byteLength, other.length)
    assert.strictEqual(storage.uploads.get("invoices/twice.pdf"), 2)
    assert.isNull((await ours().from("invoices").update("twice.pdf", pdf, asPdf)).error)
    assert.deepInclude((await ours().from("invoices").update("none.pdf", pdf, asPdf)).error, { statusCode: "404" })
  })

  it("says whether the bucket or the object is missing", async () => {
    const { error } = await ours().from("nothing").upload("1.pdf", pdf, asPdf)
    assert.deepInclude(error, { status: 400, statusCode: "404", message: "Bucket not found" })
    const missing = await ours().from("invoices").createSignedUrl("missing.pdf", 60)
    assert.deepInclude(missing.error, { status: 400, statusCode: "404", message: "Object not found" })
  })

  it("creates a bucket once, under a name that Storage accepts", async () => {
    const { error } = await ours().createBucket("invoices")
    assert.deepInclude(error, { status: 400, statusCode: "409", message: "The resource already exists" })
    assert.deepInclude((await ours().createBucket("a/b")).error, { statusCode: "400", message: "Bucket name invalid" })
  })

  it.each(["%", "ü.pdf", "a#b.pdf"])("refuses the key %s", async (key) => {
    const response = await fetch(`${url}/storage/v1/object/invoices/${encodeURIComponent(key)}`, {
      method: "POST",
      headers: { apikey: keys.serviceKey },
      body: pdf
    })
    assert.strictEqual(response.status, 400)
    assert.deepInclude(await response.json(), { code: "InvalidKey" })
  })

  it("enforces the bucket's limits of size and type", async () => {
    await ours().createBucket("small", { public: false, fileSizeLimit: "1KB", allowedMimeTypes: ["application/pdf"] })
    const small = ours().from("small")
    assert.deepInclude((await small.upload("a.pdf", new Uint8Array(1025), asPdf)).error, { statusCode: "413" })
    assert.deepInclude((await small.upload("a.txt", pdf, { contentType: "text/plain" })).error, { statusCode: "415" })
    assert.isNull((await small.upload("a.pdf", new Uint8Array(1024), asPdf)).error)
  })

  it("accepts no file above 50 MB", async () => {
    const { error } = await upload("large.pdf", new Uint8Array(50 * 1024 * 1024 + 1))
    assert.deepInclude(error, { statusCode: "413", message: "The object exceeded the maximum allowed size" })
  })
})

describe("who may do what", () => {
  it.each([
    { who: "a publishable key", key: () => keys.publishableKey, statusCode: "403", message: /row-level security/ },
    { who: "an unknown key", key: () => "sb_secret_guess", statusCode: "403", message: /Invalid Compact JWS/ }
  ])("$who can upload, sign and create nothing", async ({ key, message, statusCode }) => {
    await upload("theirs.pdf")
    const before = storage.uploads.get("invoices/theirs.pdf")
    const theirs = clientOf(key())
    for (const { error } of [
      await theirs.from("invoices").upload("theirs.pdf", pdf, asPdf),
      await theirs.from("invoices").createSignedUrl("theirs.pdf", 60),
      await theirs.createBucket("theirs")
    ]) {
      assert.strictEqual(error !== null && "statusCode" in error ? error.statusCode : undefined, statusCode)
      assert.match(error?.message ?? "", message)
    }
    assert.strictEqual(storage.uploads.get("invoices/theirs.pdf"), before)
  })

  it("a request without a key is refused", async () => {
    const response = await fetch(`${url}/storage/v1/object/invoices/1.pdf`, { method: "POST", body: pdf })
    assert.strictEqual(response.status, 400)
    assert.include((await response.json()).message, "authorization")
  })

  it("a URL is valid for its object, until it expires, as it was signed", async () => {
    await upload("one.pdf")
    await upload("two.pdf")
    const good = new URL(await sign("one.pdf"))
    const answerTo = async (token: string, key = "one.pdf") => {
      const response = await fetch(`${good.origin}/storage/v1/object/sign/invoices/${key}?token=${token}`)
      return [response.status, response.ok ? "" : (await response.json()).message]
    }
    const token = good.searchParams.get("token") ?? ""
    const [header, , signature] = token.split(".")
    const claims = Buffer.from(JSON.stringify({ url: "invoices/two.pdf", exp: 9_999_999_999 })).toString("base64url")
    assert.deepStrictEqual(await answerTo(token), [200, ""])
    assert.deepStrictEqual(await answerTo(token, "two.pdf"), [400, "The url do not match the signature"])
    assert.deepStrictEqual(await answerTo(signObject(keys.jwtSecret, "invoices/one.pdf", 0)), [
      400,
      '"exp" claim timestamp check failed'
    ])
    const forged = [400, "signature verification failed"]
    assert.deepStrictEqual(await answerTo(`${header}.${claims}.${signature}`, "two.pdf"), forged)
    assert.deepStrictEqual(await answerTo(signObject("another secret", "invoices/one.pdf", 60)), forged)
    assert.deepStrictEqual(await answerTo(""), [400, "Invalid Compact JWS"])
  })
})

describe("faults on demand", () => {
  it("affect the next requests, one each", async () => {
    storage.fail(503, "disconnect")
    assert.deepInclude((await upload("faults.pdf")).error, { status: 503 })
    assert.isNotNull((await upload("faults.pdf")).error)
    assert.isUndefined(storage.uploads.get("invoices/faults.pdf"))
    assert.isNull((await upload("faults.pdf")).error)
  })

  it("can lose the answer to a stored upload", async () => {
    storage.fail("do and disconnect")
    assert.isNotNull((await upload("lost.pdf")).error)
    assert.strictEqual((await fetch(await sign("lost.pdf"))).status, 200)
  })
})
