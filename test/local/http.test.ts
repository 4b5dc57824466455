import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Stack } from "../../local/stack.ts"
import { bareStack, nobody, openSession, type Recorder, type Session, startRecorder } from "../support/bareStack.ts"

let stack: Stack
let session: Session
let recorder: Recorder

const POST = `
  select answer.status, answer.content_type, answer.content, to_jsonb(answer.headers) as headers
  from extensions.http(row('POST', $1, array[extensions.http_header('x-kept', 'yes')], 'application/json', $2
  )::extensions.http_request) as answer`

const post = (path: string, body = "{}") => session.rows(POST, [`${recorder.url}${path}`, body])

beforeAll(async () => {
  stack = await bareStack()
  session = await openSession(stack.databaseUrl)
  await session.client.query("create extension if not exists http with schema extensions")
  recorder = await startRecorder(({ url }, response) => {
    if (url === "/hang") return
    if (url === "/500") return void response.writeHead(500, { "content-type": "text/plain", "x-kind": "bad" }).end("no")
    response.end("ok")
  })
})

afterAll(async () => {
  await recorder?.[Symbol.asyncDispose]()
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

describe("the stand-in for pgsql-http", () => {
  it("sends the text unchanged, with the given headers and content type", async () => {
    const body = `{"name": "Zoë ☕ it's", "b":   1}`
    expect(await post("/exact", body)).toMatchObject([{ status: 200, content: "ok" }])
    const arrival = recorder.arrivals.find(({ url }) => url === "/exact")
    expect(arrival).toMatchObject({ method: "POST", body })
    expect(arrival?.headers).toMatchObject({ "x-kept": "yes", "content-type": "application/json" })
  })

  it("returns every answer of a server, even an error, with its headers", async () => {
    const [answer] = await post("/500")
    expect(answer).toMatchObject({ status: 500, content_type: "text/plain", content: "no" })
    expect(answer?.["headers"]).toContainEqual({ field: "x-kind", value: "bad" })
  })

  it("has sent a transaction's request even if it rolls back", async () => {
    await session.client.query("begin")
    await post("/rolled-back")
    await session.client.query("rollback")
    expect(recorder.arrivals.filter(({ url }) => url === "/rolled-back")).toHaveLength(1)
  })

  it("raises when the time limit has passed, and continues with the next call", async () => {
    await session.client.query("select extensions.http_set_curlopt('CURLOPT_TIMEOUT_MS', '200')")
    await expect(post("/hang")).rejects.toThrow("timed out after 200 milliseconds")
    await session.client.query("select extensions.http_reset_curlopt()")
    expect(await post("/after")).toMatchObject([{ status: 200 }])
  })

  it("raises if nobody listens", async () => {
    await expect(session.rows(POST, [`${nobody}/`, "{}"])).rejects.toThrow("Couldn't connect to server")
  })

  it("serves every database of the cluster, and only superusers can see its address", async () => {
    await session.client.query("create database elsewhere")
    const url = new URL(stack.databaseUrl)
    url.pathname = "/elsewhere"
    await using elsewhere = await openSession(url.href)
    await elsewhere.client.query("create extension http with schema extensions")
    expect(await elsewhere.rows(POST, [`${recorder.url}/elsewhere`, "{}"])).toMatchObject([{ status: 200 }])
    await expect(elsewhere.value("select extensions._http_connect('a', 'dbname=postgres')")).rejects.toThrow(
      "permission denied"
    )
  })

  it("refuses an unknown option", async () => {
    await expect(session.value("select extensions.http_set_curlopt('CURLOPT_PROXY', 'a')")).rejects.toThrow(
      'curl option "CURLOPT_PROXY" is not available'
    )
  })

  it("works again after its worker was killed", async () => {
    await stack.services.http.kill("SIGKILL")
    await stack.services.http.start()
    expect(await post("/again")).toMatchObject([{ status: 200 }])
  })
})
