import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Path } from "effect"
import { PackageRoot } from "../../cli/Release.ts"
import { atTerminal } from "./pauseStatus.ts"

const config = 'project_id = "somebodys"\n\n[db]\nmajor_version = 17\n'

/** A release as small as one can be: names and texts of migrations, and the bundles. */
const release: Readonly<Record<string, string>> = {
  "supabase/migrations/20260101000100_create_outbox.sql": "create schema if not exists outbox;\n",
  "supabase/migrations/20260101000200_watch_mentors.sql": "-- the default table\n",
  "supabase/migrations/20260101000300_close_private_schema.sql": "-- last\n",
  "supabase/functions/pause-status-webhook-handler/dist/index.mjs": "// handler\n",
  "supabase/functions/pause-status-webhook-handler/dist/management.mjs": "// management\n",
  "supabase/functions/pause-notification-orchestrator/dist/index.mjs": "// orchestrator\n",
  "supabase/functions/send-email/dist/index.mjs": "// mail\n"
}

/** A Supabase repository of somebody's, and a release of this package to install in it. Both are removed at the end. */
export const makeRepository = (
  files: Readonly<Record<string, string>> = {},
  shipped: Readonly<Record<string, string>> = release
) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "pause-status-repository-" })
    const root = yield* fs.makeTempDirectoryScoped({ prefix: "pause-status-release-" })
    const write = Effect.fnUntraced(function* (folder: string, name: string, text: string) {
      const file = path.join(folder, name)
      yield* fs.makeDirectory(path.dirname(file), { recursive: true })
      yield* fs.writeFileString(file, text)
    })
    for (const [name, text] of Object.entries({ "config.toml": config, ...files }))
      yield* write(directory, `supabase/${name}`, text)
    for (const [name, text] of Object.entries(shipped)) yield* write(root, name, text)
    const typed = (keys: ReadonlyArray<string> | undefined, command: string, ...args: ReadonlyArray<string>) =>
      atTerminal(keys, command, directory, ...args).pipe(Effect.provideService(PackageRoot, root))
    return {
      directory,
      root,
      /** The files below supabase, with their texts. */
      files: Effect.gen(function* () {
        const names = yield* fs.readDirectory(path.join(directory, "supabase"), { recursive: true })
        const texts: Record<string, string> = {}
        for (const name of names.toSorted()) {
          const file = path.join(directory, "supabase", name)
          if ((yield* fs.stat(file)).type === "File") texts[name] = yield* fs.readFileString(file)
        }
        return texts
      }),
      write: (name: string, text: string) => write(directory, `supabase/${name}`, text),
      remove: (name: string) => fs.remove(path.join(directory, "supabase", name)),
      ship: (name: string, text: string) => write(root, name, text),
      unship: (name: string) => fs.remove(path.join(root, name), { recursive: true }),
      run: (command: string, ...args: ReadonlyArray<string>) => typed(undefined, command, ...args),
      typed
    }
  }).pipe(Effect.provide(NodeServices.layer))
