import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { switchFlag } from "../ask.ts"
import { cannotRun } from "../Failure.ts"
import { Output } from "../Output.ts"
import { keyFlag, secretKey, whereKeysAre } from "../secretKey.ts"
import { askProject } from "./forward.ts"
import { Page } from "./Page.ts"
import { functionUrl, isLocal, type Project } from "./Project.ts"
import { serve } from "./serve.ts"

const flags = {
  url: Flag.String("url").pipe(Flag.withDescription("The project, https://<ref>.supabase.co")),
  key: keyFlag,
  port: Flag.Int("port").pipe(Flag.withDefault(0), Flag.withDescription("The port on 127.0.0.1; 0 takes a free one")),
  readOnly: switchFlag("read-only", "Show everything, change nothing")
}

/** Reports a wrong URL or key now, rather than later on the page. */
const knock = Effect.fnUntraced(function* (project: Project) {
  const { status } = yield* askProject(project, { method: "GET", path: "/health" })
  if (status === 401 || status === 403) return yield* cannotRun("The project does not accept the key.", whereKeysAre)
  if (status !== 200 && status !== 503)
    return yield* cannotRun(
      `${project.url} gives an unexpected answer: status ${status}.`,
      "Check --url, and check that the function is deployed."
    )
})

export const console = Command.make(
  "console",
  flags,
  Effect.fn("console")(
    function* ({ key, port, readOnly, url }) {
      const project: Project = { url: yield* functionUrl(url), key: yield* secretKey(key), readOnly }
      yield* knock(project)
      const address = yield* serve(project, port)
      const often = isLocal(project) ? "second" : "three seconds"
      yield* Output.use((output) =>
        output.report(
          [
            `The console is at ${address}`,
            `It reads every ${often} while the page is visible, and reads nothing otherwise.`,
            "The key stays in this process. Ctrl-C stops it."
          ],
          { url: address }
        )
      )
      return yield* Effect.never
    },
    Effect.scoped,
    Effect.provide(FetchHttpClient.layer)
  )
).pipe(
  Command.withDescription("Serves a page to watch the outbox and to handle dead letters."),
  Command.provide(Page.layer)
)
