import { createHmac } from "node:crypto"
import type { ServerResponse } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Stack } from "../../local/stack.ts"
import { bareStack, nobody, openSession, type Recorder, type Session, startRecorder } from "../support/bareStack.ts"
import { eventually } from "../support/eventually.ts"

let stack: Stack
let session: Session
let recorder: Recorder

interface Answer {
  readonly id: string
  readonly status_code: number | null
  readonly content_type: string | null
  readonly headers: Record<string, string> | null
  readonly content: string | null
  readonly timed_out: boolean
  readonly error_msg: string | null
}

const post = (call: string, values: ReadonlyArray<unknown> = []) =>
  session.value(`select net.http_post(${call})`, values)

/** For what is to be answered, however slow the machine. */
const patiently = "timeout_milliseconds := 60000"

const answerTo = async (id: unknown): Promise<Answer> => {
  const read = () =>
    session.rows<Answer & Record<string, unknown>>("select * from net._http_response where id = $1", [id])
  await eventually(read).toHaveLength(1)
  const [answer] = await read()
  if (answer === undefined) throw new Error(`no answer to request ${String(id)}`)
  return answer
}

const messageFor = async (url: string) => (await answerTo(await post("$1", [url]))).error_msg

const arrivalsAt = (path: string) => recorder.arrivals.filter(({ url }) => url.startsWith(path))

beforeAll(async () => {
  stack = await bareStack({ pacing: "fast" })
  session = await openSession(stack.databaseUrl)
  await session.client.query("create extension if not exists pg_net with schema extensions")
  await session.client.query("create extension if not exists pgcrypto with schema extensions")
  recorder = await startRecorder(({ url, method }, response) => {
    if (url === "/hang") return
    if (url === "/close") return void response.destroy()
    if (url === "/302") return void response.writeHead(302, { location: "/target" }).end()
    if (url === "/307") return void response.writeHead(307, { location: "/target" }).end()
    if (url === "/500") return void response.writeHead(500, { "content-type": "text/plain", "x-kind": "bad" }).end("no")
    if (url === "/empty") return void response.writeHead(204).end()
    response.end(`${method} ok`)
  })
})

afterAll(async () => {
  await recorder?.[Symbol.asyncDispose]()
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

describe("when a request is sent", () => {
  it("sends committed requests, and no rolled back ones", async () => {
    await session.client.query("begin")
    await post("$1", [`${recorder.url}/rolled-back`])
    await session.client.query("rollback")
    await answerTo(await post("$1", [`${recorder.url}/committed`]))
    expect(arrivalsAt("/committed")).toHaveLength(1)
    expect(arrivalsAt("/rolled-back")).toHaveLength(0)
  })

  it("wakes the worker by net.wake(), but not by a row put into the queue directly", async () => {
    await using listener = await openSession(stack.databaseUrl)
    const heard: Array<string> = []
    listener.client.on("notification", ({ channel }) => heard.push(channel))
    await listener.client.query("listen pg_net_wake; listen done")
    await session.client.query(
      "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', $1, 1000)",
      [`${recorder.url}/by-hand`]
    )
    await session.client.query("notify done")
    await session.client.query("select net.wake()")
    await eventually(() => heard).toEqual(["done", "pg_net_wake"])
    await eventually(() => arrivalsAt("/by-hand")).toHaveLength(1)
  })

  it("delivers a burst of several batches, each request once", async () => {
    await session.client.query(
      `select net.http_post($1 || n, jsonb_build_object('n', n), ${patiently}) from generate_series(1, 450) as n`,
      [`${recorder.url}/burst/`]
    )
    await eventually(() => arrivalsAt("/burst/").length).toBe(450)
    await eventually(() => session.value("select count(*)::int from net.http_request_queue")).toBe(0)
    expect(new Set(arrivalsAt("/burst/").map(({ url }) => url)).size).toBe(450)
  })

  it("starts the next batch only once the slowest request has ended", async () => {
    const events: Array<string> = []
    const held: Array<ServerResponse> = []
    await using slow = await startRecorder(({ url }, response) => {
      events.push(url)
      if (url !== "/slow") return void response.end()
      held.push(response)
    })
    const first = await post(`$1, ${patiently}`, [`${slow.url}/slow`])
    await eventually(() => events).toEqual(["/slow"])
    const second = await post(`$1, ${patiently}`, [`${slow.url}/next`])
    expect(await session.value("select count(*)::int from net.http_request_queue where id = $1", [second])).toBe(1)
    events.push("answered")
    held[0]?.end()
    await answerTo(first)
    await answerTo(second)
    expect(events).toEqual(["/slow", "answered", "/next"])
  })
})

describe("what is on the wire", () => {
  it("posts jsonb's text byte for byte, so that a signature made in SQL matches", async () => {
    const id = await session.value(
      `with message as (select $2::jsonb as body)
       select net.http_post($1, body, headers := jsonb_build_object('x-signature',
         encode(extensions.hmac(convert_to(body::text, 'UTF8'), 'key', 'sha256'), 'hex'))) from message`,
      [`${recorder.url}/signed`, '{"name": "Zoë ☕", "b": 1,"aa":2,  "b":3}']
    )
    await answerTo(id)
    const [arrival] = arrivalsAt("/signed")
    expect(arrival?.body).toBe('{"b": 3, "aa": 2, "name": "Zoë ☕"}')
    expect(arrival?.headers["x-signature"]).toBe(
      createHmac("sha256", "key")
        .update(arrival?.body ?? "")
        .digest("hex")
    )
  })

  it("sends pg_net's headers: no value for null, text for a number", async () => {
    await answerTo(await post("$1, headers := $2", [`${recorder.url}/headers`, { "x-null": null, "x-number": 7 }]))
    const [arrival] = arrivalsAt("/headers")
    expect(arrival?.method).toBe("POST")
    expect(arrival?.headers).toMatchObject({
      accept: "*/*",
      "content-type": "application/json",
      "content-length": "2",
      "user-agent": "pg_net/0.20.4",
      "x-number": "7"
    })
    expect(arrival?.headers).not.toHaveProperty("x-null")
  })

  it("sends a form's content type when the headers are null", async () => {
    await answerTo(await post("$1, headers := null", [`${recorder.url}/no-headers`]))
    expect(arrivalsAt("/no-headers")[0]?.headers["content-type"]).toBe("application/x-www-form-urlencoded")
  })

  it("appends encoded parameters to a GET", async () => {
    const call = "select net.http_get($1, $2)"
    await answerTo(await session.value(call, [`${recorder.url}/get?a=1`, { "b c": "d&é", e: "~" }]))
    expect(arrivalsAt("/get")[0]).toMatchObject({ method: "GET", url: "/get?a=1&e=~&b%20c=d%26%C3%A9", body: "" })
  })

  it("sends a DELETE with and without a body", async () => {
    await answerTo(await session.value("select net.http_delete($1)", [`${recorder.url}/delete/1`]))
    await answerTo(
      await session.value("select net.http_delete($1, body := $2)", [`${recorder.url}/delete/2`, { a: 1 }])
    )
    expect(arrivalsAt("/delete").map(({ method, body }) => [method, body])).toEqual([
      ["DELETE", ""],
      ["DELETE", '{"a": 1}']
    ])
  })

  it("follows a 302 with a GET without body and a 307 with the same request, headers included", async () => {
    const headers = { "x-kept": "yes" }
    await answerTo(await post("$1, body := $2, headers := $3", [`${recorder.url}/302`, { a: 1 }, headers]))
    await answerTo(await post("$1, body := $2, headers := $3", [`${recorder.url}/307`, { a: 1 }, headers]))
    expect(arrivalsAt("/target").map((arrival) => [arrival.method, arrival.body, arrival.headers["x-kept"]])).toEqual([
      ["GET", "", "yes"],
      ["POST", '{"a": 1}', "yes"]
    ])
  })

  it("keeps connections for later requests", async () => {
    const ports = new Set<string>()
    await using server = await startRecorder((_, response) => {
      ports.add(`${response.socket?.remotePort}`)
      response.end()
    })
    for (let n = 0; n < 3; n++) await answerTo(await post(`$1, ${patiently}`, [server.url]))
    expect(server.arrivals).toHaveLength(3)
    expect(ports.size).toBe(1)
  })
})

describe("the recorded answers", () => {
  it("records status, headers and content", async () => {
    expect(await answerTo(await post("$1", [`${recorder.url}/500`]))).toMatchObject({
      status_code: 500,
      content_type: "text/plain",
      headers: { "content-type": "text/plain", "x-kind": "bad" },
      content: "no",
      timed_out: false,
      error_msg: null
    })
    expect(await answerTo(await post("$1", [`${recorder.url}/empty`]))).toMatchObject({
      status_code: 204,
      content: null
    })
  })

  it("records a timeout with the times of its steps", async () => {
    const answer = await answerTo(await post("$1, timeout_milliseconds := 300", [`${recorder.url}/hang`]))
    expect(answer).toMatchObject({ status_code: null, timed_out: true })
    expect(answer.error_msg?.replace(/\d+\.\d{6} ms/g, "<time>")).toBe(
      "Timeout of 300 ms reached. Total time: <time> " +
        "(DNS time: <time>, TCP/SSL handshake time: <time>, HTTP Request/Response time: <time>)"
    )
  })

  it("records a refused connection, a closed one and an unknown protocol with libcurl's messages", async () => {
    expect(await messageFor(nobody)).toBe("Couldn't connect to server")
    expect(await messageFor(`${recorder.url}/close`)).toBe("Server returned nothing (no headers, no data)")
    expect(await messageFor("ftp://127.0.0.1/file")).toBe("Unsupported protocol")
  })

  it("returns an answer through net._http_collect_response", async () => {
    const id = await post("$1", [`${recorder.url}/collect`])
    await answerTo(id)
    const collect = "select (collected).* from (select net._http_collect_response($1) as collected) as call"
    expect(await session.rows(collect, [id])).toMatchObject([{ status: "SUCCESS", message: "ok" }])
    expect(await session.rows(collect, [-1])).toMatchObject([
      { status: "ERROR", message: "request matching request_id not found" }
    ])
  })

  it("deletes answers that are older than six hours", async () => {
    await session.client.query(
      "insert into net._http_response (id, created) values (-5, now() - interval '7 hours'), (-6, now() - interval '5 hours')"
    )
    await answerTo(await post("$1", [`${recorder.url}/later`]))
    expect(await session.rows("select id from net._http_response where id < -1")).toEqual([{ id: "-6" }])
  })
})

describe("what is refused in the caller's transaction", () => {
  it.each([
    [
      "a content type with more than application/json",
      `'http://a', headers := '{"Content-Type":"application/json; charset=utf-8"}'`,
      "P0001",
      'Content-Type header must be "application/json"'
    ],
    ["an address without a scheme", "'127.0.0.1/x'", "XX000", 'invalid URL "127.0.0.1/x": Unsupported URL scheme'],
    ["an address without a host", "'http:///x'", "XX000", 'invalid URL "http:///x": No host part in the URL'],
    [
      "an address with a space",
      "'http://a/b c'",
      "XX000",
      'invalid URL "http://a/b c": Malformed input to a URL function'
    ],
    [
      "a port that is no number",
      "'http://a:x/'",
      "XX000",
      'invalid URL "http://a:x/": Port number was not a decimal number between 0 and 65535'
    ]
  ])("refuses %s", async (_, call, code, message) => {
    await expect(post(call)).rejects.toMatchObject({ code, message })
  })

  it.each(["http://a", "HTTPS://u:p@a:65535/b?c#d", "http://[::1]:80/", "file:///etc", "http://127.0.0.1:0"])(
    "takes the address %s",
    async (url) => {
      expect(await session.value("select net._encode_url_with_params_array($1, '{}')", [url])).toContain("/")
    }
  )

  it.each(["http://a:65536/", "http://a:100000", "http://[::1]:x/"])("refuses the port of %s", async (url) => {
    await expect(session.value("select net._encode_url_with_params_array($1, '{}')", [url])).rejects.toThrow("Port")
  })

  it("refuses no address at all", async () => {
    await expect(post("null")).rejects.toMatchObject({ code: "23502", column: "url" })
  })
})

describe("who may use it", () => {
  it("lets every role send, and checks that the worker is up", async () => {
    await session.client.query("begin; set local role anon")
    await session.client.query("select net.check_worker_is_up(), net.wait_until_running()")
    const id = await post("$1", [`${recorder.url}/anon`])
    await session.client.query("commit")
    expect((await answerTo(id)).status_code).toBe(200)
  })
})
