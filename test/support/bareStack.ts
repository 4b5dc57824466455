import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Client, type QueryResultRow } from "pg"
import { HANDLER, ORCHESTRATOR, type Stack, type StackOptions, startStack } from "../../local/stack.ts"

const ECHO = `export default {
  fetch: async (request) => {
    const { pathname, search } = new URL(request.url)
    const headers = Object.fromEntries(request.headers)
    const echo = { pathname, search, method: request.method, headers, body: await request.text(), env: Deno.env.toObject(), deno: Deno.version.deno }
    return Response.json(echo, { status: Number(headers["x-answer"] ?? 200) })
  }
}`

/** The stack with functions that echo their request and with no migrations: the platform without the product. */
export const bareStack = async (options: StackOptions = {}, more: ReadonlyArray<string> = []): Promise<Stack> => {
  const directory = await mkdtemp(join(tmpdir(), "pause-status-test-"))
  for (const name of [HANDLER, ORCHESTRATOR, ...more]) {
    const dist = join(directory, "functions", name, "dist")
    await mkdir(dist, { recursive: true })
    await writeFile(join(dist, "index.mjs"), ECHO)
  }
  const remove = () => rm(directory, { recursive: true, force: true })
  const places = { functions: join(directory, "functions"), migrations: join(directory, "migrations") }
  const stack = await startStack({ migrate: false, ...options }, places).catch(async (cause) => {
    await remove()
    throw cause
  })
  const stop = async (): Promise<void> => {
    await stack.stop()
    await remove()
  }
  return { ...stack, stop, [Symbol.asyncDispose]: stop }
}

export interface Session extends AsyncDisposable {
  readonly client: Client
  readonly rows: <Row extends QueryResultRow>(text: string, values?: ReadonlyArray<unknown>) => Promise<Array<Row>>
  /** The one value of the one row. */
  readonly value: (text: string, values?: ReadonlyArray<unknown>) => Promise<unknown>
}

export const openSession = async (url: string): Promise<Session> => {
  const client = new Client(url)
  // A test may kill the server under this session.
  client.on("error", () => {})
  await client.connect()
  const rows: Session["rows"] = async (text, values = []) => (await client.query(text, [...values])).rows
  return {
    client,
    rows,
    value: async (text, values) => Object.values((await rows(text, values))[0] ?? {})[0],
    [Symbol.asyncDispose]: () => client.end().catch(() => {})
  }
}

export interface Arrival {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Where nobody listens. A port that was free a moment ago may be somebody's the next. */
export const nobody = "http://127.0.0.1:1"

export interface Recorder extends AsyncDisposable {
  readonly url: string
  readonly arrivals: ReadonlyArray<Arrival>
}

/** A server on loopback that keeps what arrived, in order, and answers as told (200 when not told). */
export const startRecorder = async (
  answer: (arrival: Arrival, response: http.ServerResponse) => void = (_, response) => response.end("ok")
): Promise<Recorder> => {
  const arrivals: Array<Arrival> = []
  const receive = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const parts: Array<Buffer> = []
    for await (const part of request) parts.push(part)
    const { method = "", url = "", headers, rawHeaders } = request
    const bytes = Buffer.concat(parts)
    const arrival = { method, url, headers, rawHeaders, body: bytes.toString(), bytes }
    arrivals.push(arrival)
    answer(arrival, response)
  }
  const server = http.createServer((request, response) => {
    // Who gives up in the middle of a request has not arrived.
    receive(request, response).catch(() => response.destroy())
  })
  // Longer than any client's pool keeps a connection that it does not use.
  server.keepAliveTimeout = 600_000
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    arrivals,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}
