import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { buffer } from "node:stream/consumers"
import { edgeFunction } from "../../local/functions.ts"
import { denoProgram } from "../../local/programs.ts"
import { startReaper } from "../../local/Reaper.ts"
import { HANDLER } from "../../local/stack.ts"

type Env = Readonly<Record<string, string>>

/** The handler as a platform runs it: several isolates at once, of which some may still have older settings. */
export interface Isolates extends AsyncDisposable {
  readonly url: string
  /** One isolate more, which has these settings; requests go to each in turn. */
  readonly add: (env: Env) => Promise<void>
  /** Ends all isolates but the newest, once they have answered what they were asked. */
  readonly retireOld: () => Promise<void>
  /** The status of each reply so far. */
  readonly statuses: ReadonlyArray<number>
  readonly log: ReadonlyArray<string>
}

interface Isolate {
  readonly origin: string
  readonly stop: () => Promise<void>
  readonly busy: Set<Promise<unknown>>
}

const bundle = new URL(`../../supabase/functions/${HANDLER}/dist/index.mjs`, import.meta.url).pathname

export const startIsolates = async (common: Env): Promise<Isolates> => {
  await using started = new AsyncDisposableStack()
  const reaper = started.use(startReaper())
  const home = await mkdtemp(join(tmpdir(), "pause-status-isolates-"))
  started.defer(() => rm(home, { recursive: true, force: true }))
  const deno = await denoProgram("2.1.4")
  const statuses: Array<number> = []
  const log: Array<string> = []
  let pool: ReadonlyArray<Isolate> = []
  let turn = 0
  started.defer(async () => void (await Promise.all(pool.map(({ stop }) => stop()))))

  const forward = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = await buffer(request)
    const isolate = pool[(turn += 1) % pool.length]
    if (isolate === undefined) return void response.writeHead(503).end()
    const headers = Object.entries(request.headers).flatMap(([name, value]) =>
      typeof value === "string" && name !== "host" && name !== "content-length" && name !== "connection"
        ? [[name, value] as [string, string]]
        : []
    )
    const reply = fetch(`${isolate.origin}${request.url}`, { method: request.method ?? "GET", headers, body })
    const answered = reply.then(async (reply) => {
      statuses.push(reply.status)
      response.writeHead(reply.status, Object.fromEntries(reply.headers)).end(await reply.text())
    })
    isolate.busy.add(answered)
    await answered.finally(() => isolate.busy.delete(answered))
  }

  const server = http.createServer((request, response) => {
    forward(request, response).catch(() => response.destroy())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  started.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the isolates have no port")

  const kept = started.move()
  return {
    url: `http://127.0.0.1:${address.port}`,
    statuses,
    log,
    add: async (env) => {
      const { service, upstream } = edgeFunction({
        name: "handler",
        bundle,
        deno,
        env: { ...common, ...env },
        home,
        log: ({ text }) => void log.push(text),
        reaper
      })
      await service.start()
      const at = upstream()
      if (at === undefined || !("port" in at)) throw new Error("the isolate has no port")
      pool = [...pool, { origin: `http://127.0.0.1:${at.port}`, stop: () => service.stop(), busy: new Set() }]
    },
    retireOld: async () => {
      const old = pool.slice(0, -1)
      pool = pool.slice(-1)
      await Promise.allSettled(old.flatMap(({ busy }) => [...busy]))
      await Promise.all(old.map(({ stop }) => stop()))
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
