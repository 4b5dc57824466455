import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as ChildProcess from "effect/process/ChildProcess"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { cannotRun, type Failure } from "../Failure.ts"

const Refused = Schema.fromJsonString(Schema.Struct({ error: Schema.Struct({ message: Schema.String }) }))

/** The CLI's error, if it was asked for JSON. */
const reasonOf = (stdout: string): string | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(Refused)(stdout))?.error.message

/** The project's own Supabase CLI, logged in as its user is. */
export class Supabase extends Context.Service<
  Supabase,
  {
    /** Runs a command and returns its stdout. A secret is passed in a file, because any user can list arguments. */
    readonly run: (
      args: ReadonlyArray<string>,
      file: { readonly flag: string; readonly text: string }
    ) => Effect.Effect<string, Failure>
  }
>()("pause-status-webhook-handler/cli/Supabase") {
  static readonly layer = (directory: string) =>
    Layer.effect(
      Supabase,
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const start = path.resolve(directory)
        const folders = start
          .split(path.sep)
          .map((_, index, parts) => parts.slice(0, parts.length - index).join(path.sep))
        const candidates = folders.map((folder) => path.join(folder || path.sep, "node_modules", ".bin", "supabase"))
        const local = yield* Effect.findFirst(candidates, (file) => Effect.orElseSucceed(fs.exists(file), () => false))
        const program = local._tag === "Some" ? local.value : "supabase"
        return Supabase.of({
          run: Effect.fn("Supabase.run")(
            function* (args, { flag, text }) {
              const file = yield* fs.makeTempFileScoped({ prefix: "pause-status-" })
              yield* fs.chmod(file, 0o600)
              yield* fs.writeFileString(file, text)
              const handle = yield* spawner.spawn(
                ChildProcess.make(program, [...args, flag, file, "--yes", "--agent=no"], {
                  cwd: start,
                  extendEnv: true,
                  stdin: "ignore"
                })
              )
              const [stdout, stderr, code] = yield* Effect.all(
                [
                  Stream.mkString(Stream.decodeText(handle.stdout)),
                  Stream.mkString(Stream.decodeText(handle.stderr)),
                  handle.exitCode
                ],
                { concurrency: 3 }
              )
              if (code === ChildProcessSpawner.ExitCode(0)) return stdout
              return yield* cannotRun(
                `supabase ${args.join(" ")} failed:\n${reasonOf(stdout) ?? stderr.trim()}`,
                "Log in with npx supabase login, and check --project-ref."
              )
            },
            Effect.scoped,
            Effect.catchTag("PlatformError", ({ message }) =>
              Effect.fail(
                cannotRun(
                  `The Supabase CLI cannot be started: ${message}.`,
                  "Install it in the project: npm install --save-dev supabase"
                )
              )
            )
          )
        })
      })
    )
}
