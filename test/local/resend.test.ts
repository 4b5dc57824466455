import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Resend as ResendClient } from "resend"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Resend, type ResendOptions, startResend } from "../../local/resend/server.ts"

const apiKey = "re_stand_in"
const mail = {
  from: "Mentoring <mentoring@example.com>",
  to: "ada@example.com",
  subject: "Paused: Grace Hopper",
  html: "<h1>Paused</h1>",
  text: "Paused ü"
}
const day = 24 * 60 * 60 * 1_000

let folder: string
let resend: Resend
let isOpen = false
let client: ResendClient
let time = 0
let lines: Array<string> = []

const close = async (): Promise<void> => {
  if (isOpen) await resend[Symbol.asyncDispose]()
  isOpen = false
}

const open = async (options: Partial<ResendOptions> = { requestsPerSecond: 0 }): Promise<void> => {
  await close()
  const log = (line: string) => void lines.push(line)
  resend = await startResend({ apiKey, folder, now: () => time, log, ...options })
  isOpen = true
  client = new ResendClient(apiKey, { baseUrl: resend.url })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "resend-test-"))
  time = Date.UTC(2026, 10, 28)
  lines = []
  await open()
})

afterEach(async () => {
  await close()
  await rm(folder, { recursive: true, force: true })
})

const send = (more: object = {}, key?: string) =>
  client.emails.send({ ...mail, ...more }, key === undefined ? {} : { idempotencyKey: key })

const get = (path: string, init?: RequestInit) => fetch(`${resend.url}${path}`, init)

describe("the stand-in for Resend, to Resend's own client,", () => {
  it("accepts a mail, and shows it", async () => {
    const { data, error } = await send()
    expect(error).toBeNull()
    const found = await client.emails.get(data?.id ?? "")
    expect(found.error).toBeNull()
    expect(found.data).toMatchObject({
      object: "email",
      id: data?.id,
      ...mail,
      to: [mail.to],
      created_at: "2026-11-28T00:00:00.000Z",
      last_event: "delivered"
    })
    expect(lines).toEqual(["mail to ada@example.com: Paused: Grace Hopper"])
  })

  it("is used through RESEND_BASE_URL", async () => {
    const before = process.env["RESEND_BASE_URL"]
    process.env["RESEND_BASE_URL"] = resend.url
    const { error } = await new ResendClient(apiKey).emails.send(mail)
    if (before === undefined) delete process.env["RESEND_BASE_URL"]
    else process.env["RESEND_BASE_URL"] = before
    expect(error).toBeNull()
    expect(resend.mails()).toHaveLength(1)
  })

  it.each([
    [{ from: "" }, 422, "missing_required_field"],
    [{ from: "mentoring" }, 422, "invalid_from_address"],
    [{ to: [] }, 422, "missing_required_field"],
    [{ to: "ada" }, 422, "validation_error"],
    [{ to: ["ada@example.com", "grace"] }, 422, "validation_error"],
    [{ to: Array.from({ length: 51 }, () => "ada@example.com") }, 422, "validation_error"],
    [{ subject: "" }, 422, "missing_required_field"],
    [{ subject: "a\nb" }, 422, "validation_error"],
    [{ html: "", text: "" }, 422, "validation_error"]
  ])("refuses a mail with %j", async (wrong, statusCode, name) => {
    const { data, error } = await send(wrong)
    expect(data).toBeNull()
    expect(error).toMatchObject({ statusCode, name })
    expect(resend.mails()).toEqual([])
  })

  it("accepts a mail with only text or only HTML, and to 50 people", async () => {
    const to = Array.from({ length: 50 }, (_, index) => `ada${index}@example.com`)
    for (const part of [{ html: "" }, { text: "" }, { to }]) expect((await send(part)).error).toBeNull()
  })

  it("refuses a wrong key, and a domain that is not verified", async () => {
    const other = await new ResendClient("re_other", { baseUrl: resend.url }).emails.send(mail)
    expect(other.error).toMatchObject({ statusCode: 403, name: "invalid_api_key" })
    await open({ domains: ["example.com"] })
    expect((await send()).error).toBeNull()
    const { error } = await send({ from: "Mentoring <mentoring@example.org>" })
    expect(error).toMatchObject({ statusCode: 403, name: "validation_error" })
    expect(error?.message).toContain("example.org")
  })

  it("gives the same answer for the same mail under the same key, for 24 hours", async () => {
    const first = await send({}, "key")
    time += day - 1
    expect((await send({}, "key")).data).toEqual(first.data)
    expect(resend.mails()).toHaveLength(1)
    time += 1
    expect((await send({}, "key")).data?.id).not.toBe(first.data?.id)
    expect(resend.mails()).toHaveLength(2)
  })

  it("refuses another mail under the same key", async () => {
    await send({}, "key")
    const { error } = await send({ subject: "Resumed" }, "key")
    expect(error).toMatchObject({ statusCode: 409, name: "invalid_idempotent_request" })
    expect((await send({ subject: "Resumed" }, "other")).error).toBeNull()
  })

  it("does not remember refused mails", async () => {
    expect((await send({ to: "ada" }, "key")).error).toMatchObject({ statusCode: 422 })
    expect((await send({}, "key")).error).toBeNull()
  })

  it("accepts keys of up to 256 characters", async () => {
    expect((await send({}, "k".repeat(256))).error).toBeNull()
    const { error } = await send({}, "k".repeat(257))
    expect(error).toMatchObject({ statusCode: 400, name: "invalid_idempotency_key" })
  })

  it("allows two requests a second, and says so", async () => {
    await open({})
    const [first, second, third] = [await send(), await send(), await send()]
    expect(first.headers).toMatchObject({
      "ratelimit-limit": "2",
      "ratelimit-remaining": "1",
      "ratelimit-reset": "1"
    })
    expect(first.headers).not.toHaveProperty("retry-after")
    expect(second.headers).toMatchObject({ "ratelimit-remaining": "0" })
    expect(third.error).toMatchObject({ statusCode: 429, name: "rate_limit_exceeded" })
    expect(third.headers).toMatchObject({ "ratelimit-remaining": "0", "retry-after": "1" })
    expect(resend.mails()).toHaveLength(2)
    time += 1_000
    expect((await send()).error).toBeNull()
  })

  it("fails on demand, one call after another", async () => {
    resend.faults.push("500", "429", "quota", "reset")
    expect((await send()).error).toMatchObject({ statusCode: 500, name: "application_error" })
    const limited = await send()
    expect(limited.error).toMatchObject({ statusCode: 429, name: "rate_limit_exceeded" })
    expect(limited.headers).toMatchObject({ "retry-after": "1" })
    const quota = await send()
    expect(quota.error).toMatchObject({ statusCode: 429, name: "daily_quota_exceeded" })
    expect(quota.headers).toMatchObject({ "retry-after": "86400" })
    expect((await send()).error).toMatchObject({ statusCode: null })
    expect(resend.mails()).toEqual([])
    expect((await send()).error).toBeNull()
  })

  it("loses an answer on demand, and gives it to the next call under the same key", async () => {
    resend.faults.push("lost")
    expect((await send({}, "key")).error).toMatchObject({ statusCode: null })
    const [stored] = resend.mails()
    expect((await send({}, "key")).data).toEqual({ id: stored?.id })
    expect(resend.mails()).toHaveLength(1)
  })

  it("says that a key is in progress while its first call hangs, until that gives up", async () => {
    resend.faults.push("hang")
    const aborter = new AbortController()
    const first = get("/emails", {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "idempotency-key": "key" },
      body: JSON.stringify(mail),
      signal: aborter.signal
    }).catch(() => "gave up")
    while (resend.faults.length > 0) await new Promise(setImmediate)
    expect((await send({}, "key")).error).toMatchObject({ statusCode: 409, name: "concurrent_idempotent_requests" })
    expect((await send({}, "other")).error).toBeNull()
    aborter.abort()
    expect(await first).toBe("gave up")
    let last = await send({}, "key")
    while (last.error?.statusCode === 409) last = await send({}, "key")
    expect(last.error).toBeNull()
    expect(resend.mails()).toHaveLength(2)
  })

  it("keeps mails and keys across a restart", async () => {
    const first = await send({}, "key")
    await open()
    expect((await send({}, "key")).data).toEqual(first.data)
    expect((await client.emails.get(first.data?.id ?? "")).data).toMatchObject({ subject: mail.subject })
    expect(resend.mails()).toHaveLength(1)
  })

  it("has no other mails", async () => {
    const { error } = await client.emails.get("4d9e7a52-6a5e-4a2e-9d0e-0c1f5b9b1f10")
    expect(error).toMatchObject({ statusCode: 404, name: "not_found" })
  })
})

describe("the stand-in for Resend", () => {
  const post = (headers: Readonly<Record<string, string>>, body = JSON.stringify(mail)) =>
    get("/emails", { method: "POST", headers, body })
  const authorization = `Bearer ${apiKey}`

  it("asks for a key", async () => {
    const response = await post({})
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ statusCode: 401, name: "missing_api_key" })
  })

  it("refuses a request without User-Agent, as Resend's firewall does", async () => {
    const request = http.request(`${resend.url}/emails`, { method: "POST", headers: { authorization } })
    const [response] = await once(request.end(JSON.stringify(mail)), "response")
    response.resume()
    expect(response.statusCode).toBe(403)
    expect(resend.mails()).toEqual([])
  })

  it.each(["", "{", "[]", "null", '"mail"'])("refuses the body %j", async (body) => {
    const response = await post({ authorization }, body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ name: "validation_error" })
  })

  it("compares the bytes of a repeated mail", async () => {
    const { from, ...rest } = mail
    const headers = { authorization, "idempotency-key": "key" }
    expect((await post(headers)).status).toBe(200)
    expect((await post(headers, JSON.stringify({ ...rest, from }))).status).toBe(409)
  })

  it("serves only its paths and their methods", async () => {
    const headers = { authorization }
    expect((await get("/emails", { headers })).status).toBe(405)
    expect((await get("/emails/1", { method: "POST", headers })).status).toBe(405)
    expect((await get("/domains", { headers })).status).toBe(404)
  })

  it("plans faults over HTTP, all or none", async () => {
    expect((await get("/faults/500,lost", { method: "POST" })).status).toBe(204)
    expect((await get("/faults/500,fire", { method: "POST" })).status).toBe(400)
    expect(resend.faults).toEqual(["500", "lost"])
  })

  it("keeps each mail as readable files", async () => {
    const { data } = await send()
    expect((await readdir(folder)).toSorted()).toEqual([`${data?.id}.html`, `${data?.id}.json`, `${data?.id}.txt`])
    expect(await readFile(join(folder, `${data?.id}.html`), "utf8")).toBe(mail.html)
    expect(await readFile(join(folder, `${data?.id}.txt`), "utf8")).toBe(mail.text)
  })

  it("lists its mails on a page, newest first, and shows them", async () => {
    expect(await (await get("/")).text()).toContain("0 mails were accepted")
    await send({ subject: "First <b>&" })
    const { data } = await send({ subject: "Second" })
    const page = await (await get("/")).text()
    expect(page).toContain('<html lang="en">')
    expect(page).toContain("First &lt;b&gt;&amp;")
    expect(page.indexOf("Second")).toBeLessThan(page.indexOf("First"))
    const html = await get(`/mails/${data?.id}.html`)
    expect(html.headers.get("content-type")).toBe("text/html; charset=utf-8")
    expect(await html.text()).toBe(mail.html)
    expect(await (await get(`/mails/${data?.id}.txt`)).text()).toBe(mail.text)
    const list: unknown = await (await get("/mails.json")).json()
    expect(list).toMatchObject([{ subject: "First <b>&" }, { id: data?.id, subject: "Second" }])
  })

  it("logs a mail in one line of at most 80 columns", async () => {
    await send({ subject: "x".repeat(200) })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toHaveLength(80)
  })
})
