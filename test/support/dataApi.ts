import { mkdtemp, rm } from "node:fs/promises"
import * as http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { roleToken } from "../../local/keys.ts"
import { postgrest } from "../../local/postgrest.ts"
import { postgrestProgram } from "../../local/programs.ts"
import { startReaper } from "../../local/Reaper.ts"
import type { ApiRole } from "./objects.ts"
import type { Database } from "./sql.ts"

interface Request {
  readonly role: ApiRole
  readonly method: string
  readonly path: string
  readonly schema?: string
  readonly body?: string
}

interface Reply {
  readonly status: number
  readonly text: string
}

/** A PostgREST of a test file's own, in front of its own database. */
export interface DataApi extends AsyncDisposable {
  readonly send: (request: Request) => Promise<Reply>
}

const JWT_SECRET = "a secret of at least thirty-two characters"

export const startDataApi = async (database: Database): Promise<DataApi> => {
  const url = new URL(database.url)
  url.username = "authenticator"
  await using started = new AsyncDisposableStack()
  const reaper = started.use(startReaper())
  const home = await mkdtemp(join(tmpdir(), "pause-status-rest-"))
  reaper.removeAtEnd(home)
  started.defer(() => rm(home, { recursive: true, force: true }))
  const { service, upstream } = postgrest({
    program: await postgrestProgram(),
    databaseUrl: url.href,
    jwtSecret: JWT_SECRET,
    home,
    log: () => {},
    reaper
  })
  started.defer(() => service.stop())
  await service.start()
  const kept = started.move()
  return {
    send: ({ role, method, path, schema, body }) =>
      new Promise((resolve, reject) => {
        const headers = {
          // Who shows no token is anon.
          ...(role !== "anon" && { authorization: `Bearer ${roleToken(JWT_SECRET, role)}` }),
          ...(schema !== undefined && { "accept-profile": schema, "content-profile": schema }),
          ...(body !== undefined && { "content-type": "application/json" })
        }
        const request = http.request({ ...upstream(), method, path, headers, agent: false }, (response) => {
          let text = ""
          response.on("data", (part) => (text += String(part)))
          response.on("end", () => resolve({ status: response.statusCode ?? 0, text }))
        })
        request.on("error", reject)
        request.end(body)
      }),
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
