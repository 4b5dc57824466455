import type { ServerResponse } from "node:http"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Stack } from "../../local/stack.ts"
import { bareStack, openSession, type Recorder, type Session, startRecorder } from "../support/bareStack.ts"
import { eventually } from "../support/eventually.ts"

let stack: Stack
let session: Session
let recorder: Recorder
const held: Array<ServerResponse> = []

const TRACE = "select id, status_code from net._http_response order by id"

const holdOne = async (path: string): Promise<ServerResponse> => {
  await session.value("select net.http_post($1, timeout_milliseconds := 60000)", [`${recorder.url}${path}`])
  await eventually(() => held).toHaveLength(1)
  const response = held.pop()
  if (response === undefined) throw new Error("nothing is held")
  return response
}

const queued = () => session.value("select count(*)::int from net.http_request_queue")

const arrivalsAt = (path: string) => recorder.arrivals.filter(({ url }) => url === path)

beforeAll(async () => {
  stack = await bareStack({ pacing: "fast" })
  session = await openSession(stack.databaseUrl)
  await session.client.query("create extension pg_net")
  await session.client.query("create table public.truth (id int)")
  recorder = await startRecorder(({ url }, response) => {
    if (url.startsWith("/held")) held.push(response)
    else response.end()
  })
})

afterAll(async () => {
  await recorder?.[Symbol.asyncDispose]()
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

it("finishes the batch before it obeys SIGTERM, then continues with the rest of the queue", async () => {
  const response = await holdOne("/held/term")
  const gone = stack.services.net.kill("SIGTERM")
  await session.value("select net.http_post($1)", [`${recorder.url}/after-term`])
  response.end()
  await gone
  await eventually(() => arrivalsAt("/after-term")).toHaveLength(1)
  expect(arrivalsAt("/held/term")).toHaveLength(1)
  await eventually(() => session.rows(TRACE)).toHaveLength(2)
})

it("keeps the queue while the worker is stopped, and sends it afterwards", async () => {
  await stack.services.net.stop()
  await session.value("select net.http_post($1)", [`${recorder.url}/stopped`])
  expect(await queued()).toBe(1)
  // PostgreSQL needs a moment to notice that a client is gone.
  await eventually(() => session.value("select net._worker_is_up()")).toBe(false)
  await expect(session.value("select net.check_worker_is_up()")).rejects.toThrow("background worker is not up")
  await stack.services.net.start()
  await eventually(() => arrivalsAt("/stopped")).toHaveLength(1)
})

it("restarts when net.worker_restart() asks for it", async () => {
  const before = stack.services.net.pid
  expect(await session.value("select net.worker_restart()")).toBe(true)
  await eventually(() => [undefined, before].includes(stack.services.net.pid)).toBe(false)
})

it("loses its queue and answers, and counts from 1 again, if the worker is killed", async () => {
  await session.client.query("insert into public.truth select generate_series(1, 10)")
  await holdOne("/held/kill")
  await session.value("select count(net.http_post($1)) from generate_series(1, 10)", [`${recorder.url}/lost`])
  await stack.services.net.kill("SIGKILL")
  await stack.services.net.start()
  expect(await queued()).toBe(0)
  expect(await session.rows(TRACE)).toEqual([])
  expect(await session.value("select net.http_post($1)", [`${recorder.url}/first`])).toBe("1")
  await eventually(() => session.rows(TRACE)).toEqual([{ id: "1", status_code: 200 }])
  expect(arrivalsAt("/lost")).toHaveLength(0)
  expect(await session.value("select count(*)::int from public.truth")).toBe(10)
})

it("loses the same if PostgreSQL is killed, and every part reconnects", async () => {
  await stack.services.net.stop()
  await session.value("select net.http_post($1)", [`${recorder.url}/lost-too`])
  await stack.services.net.start()
  await eventually(() => session.rows(TRACE)).toHaveLength(2)
  await holdOne("/held/crash")
  await stack.services.postgres.kill("SIGKILL")
  await stack.services.postgres.start()
  await session[Symbol.asyncDispose]()
  session = await openSession(stack.databaseUrl)
  expect(await queued()).toBe(0)
  expect(await session.rows(TRACE)).toEqual([])
  expect(await session.value("select count(*)::int from public.truth")).toBe(10)
  await session.value("select net.wait_until_running()")
  expect(await session.value("select net.http_post($1)", [`${recorder.url}/again`])).toBe("1")
  await eventually(() => arrivalsAt("/again")).toHaveLength(1)
})
