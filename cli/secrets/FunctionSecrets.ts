import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { cannotRun, type Failure } from "../Failure.ts"
import { Supabase } from "./Supabase.ts"

const line = (secrets: ReadonlyArray<string>): string => `WEBHOOK_SECRETS="${secrets.join(" ")}"\n`

/** The environment of the Edge Functions. */
export class FunctionSecrets extends Context.Service<
  FunctionSecrets,
  {
    readonly where: string
    /** What to do once they are written. */
    readonly afterwards: ReadonlyArray<string>
    readonly write: (secrets: ReadonlyArray<string>) => Effect.Effect<void, Failure>
  }
>()("pause-status-webhook-handler/cli/FunctionSecrets") {
  /** For a hosted project. Its functions read them at their next start, within a minute. */
  static readonly layerHosted = (ref: string) =>
    Layer.effect(
      FunctionSecrets,
      Effect.map(Supabase, (supabase) =>
        FunctionSecrets.of({
          where: `project ${ref}`,
          afterwards: [],
          write: (secrets) =>
            Effect.asVoid(
              supabase.run(["secrets", "set", `--remote=${ref}`], { flag: "--env-file", text: line(secrets) })
            )
        })
      )
    )

  /** For functions that read a file: supabase functions serve, or your own host. The file's other lines stay. */
  static readonly layerFile = (file: string) =>
    Layer.effect(
      FunctionSecrets,
      Effect.map(FileSystem.FileSystem, (fs) =>
        FunctionSecrets.of({
          where: file,
          afterwards: [`Keep ${file} out of version control, and restart what serves the functions.`],
          write: Effect.fn("FunctionSecrets.write")(
            function* (secrets) {
              const text = (yield* fs.exists(file)) ? yield* fs.readFileString(file) : ""
              const others = text.split("\n").filter((line) => line !== "" && !line.startsWith("WEBHOOK_SECRETS="))
              yield* fs.writeFileString(file, others.map((line) => `${line}\n`).join("") + line(secrets), {
                mode: 0o600
              })
            },
            Effect.catchTag("PlatformError", ({ message }) => Effect.fail(cannotRun(message)))
          )
        })
      )
    )
}
