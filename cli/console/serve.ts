import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import { cannotRun } from "../Failure.ts"
import { answer } from "./answer.ts"
import { Page } from "./Page.ts"
import type { Project } from "./Project.ts"

/** Serves the console on loopback until the scope ends, and returns its address. Port 0 takes a free port. */
export const serve = Effect.fn("serve")(function* (project: Project, port: number) {
  const page = yield* Page
  const server = yield* NodeHttpServer.make(createServer, {
    host: "127.0.0.1",
    port,
    gracefulShutdownTimeout: "1 second"
  }).pipe(
    Effect.catchTag("ServeError", () =>
      Effect.fail(cannotRun(`Port ${port} of 127.0.0.1 is taken.`, "Pass another --port, or leave it out."))
    )
  )
  const listening = server.address._tag === "UnixPathAddress" ? port : server.address.port
  // The token is in the path, which other pages and other users of this machine do not know.
  const token = randomBytes(16).toString("hex")
  yield* server.serve(Effect.provide(answer({ project, page, token, port: listening }), FetchHttpClient.layer))
  return `http://127.0.0.1:${listening}/${token}/`
})
