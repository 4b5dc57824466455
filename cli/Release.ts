import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { packageVersion } from "../src/schema/PackageVersion.ts"
import { cannotRun } from "./Failure.ts"

/** One file of a release. `name` is a migration's without its time, or a function's path below `functions`. */
export interface ReleaseFile {
  readonly name: string
  readonly text: string
}

/** The names of the Edge Functions that every project gets. */
export const functionNames = ["pause-status-webhook-handler", "pause-notification-orchestrator"] as const

/** The function that mails, for projects that ask for it. */
export const MAIL = "send-email"

export type FunctionName = (typeof functionNames)[number] | typeof MAIL

export const namesOf = (mail: boolean): ReadonlyArray<FunctionName> => (mail ? [...functionNames, MAIL] : functionNames)

/** The package's folder. It is one level up, both from this file and from dist/cli.mjs. */
export const PackageRoot = Context.Reference("pause-status-webhook-handler/cli/PackageRoot", {
  defaultValue: () => join(dirname(fileURLToPath(import.meta.url)), "..")
})

/** What this version of the package installs. */
export class Release extends Context.Service<
  Release,
  {
    readonly version: string
    /** In the order of application. */
    readonly migrations: ReadonlyArray<ReleaseFile>
    readonly functions: ReadonlyArray<ReleaseFile>
  }
>()("pause-status-webhook-handler/cli/Release") {
  static readonly layer = Layer.effect(
    Release,
    Effect.gen(function* () {
      const root = yield* PackageRoot
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const migrations = path.join(root, "supabase", "migrations")
      const read = (name: string, file: string) =>
        Effect.map(fs.readFileString(file), (text): ReleaseFile => ({ name, text }))
      const names = (yield* fs.readDirectory(migrations)).filter((name) => name.endsWith(".sql")).toSorted()
      return Release.of({
        version: packageVersion,
        migrations: yield* Effect.forEach(names, (name) =>
          read(name.replace(/^\d+_|\.sql$/g, ""), path.join(migrations, name))
        ),
        functions: yield* Effect.forEach(namesOf(true), (name) => {
          const built = path.join(root, "supabase", "functions", name, "dist")
          return fs.readDirectory(built).pipe(
            Effect.map((files) => files.filter((file) => file.endsWith(".mjs")).toSorted()),
            Effect.flatMap(Effect.forEach((file) => read(`${name}/${file}`, path.join(built, file))))
          )
        }).pipe(Effect.map((files) => files.flat()))
      })
    }).pipe(
      Effect.catchTag("PlatformError", ({ message }) =>
        Effect.fail(
          cannotRun(
            `This copy of the package is incomplete: ${message}.`,
            "In a checkout, run npm run build first. Otherwise, install the package again."
          )
        )
      )
    )
  )
}
