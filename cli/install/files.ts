import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { cannotRun, refused } from "../Failure.ts"
import { Release } from "../Release.ts"
import { decode, MANIFEST } from "./Manifest.ts"
import { CONFIG, pathOfFunction, type Project, type Step } from "./plan.ts"
import { afterAllTimes } from "./stamps.ts"

// Git may write files with CRLF on Windows. That is no change.
const withLf = (text: string): string => text.replaceAll("\r\n", "\n")

const readTexts = Effect.fnUntraced(function* (supabase: string, paths: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const texts = new Map<string, string>()
  for (const name of new Set(paths)) {
    const file = path.join(supabase, name)
    if (yield* fs.exists(file)) texts.set(name, withLf(yield* fs.readFileString(file)))
  }
  return texts
})

const readManifest = (text: string | undefined) =>
  text === undefined
    ? Effect.succeedNone
    : decode(text).pipe(
        Effect.asSome,
        Effect.mapError(({ message }) =>
          refused(
            `supabase/${MANIFEST} cannot be read: ${message}`,
            "Restore it from version control, then run this again."
          )
        )
      )

/** Fails if migrations look like ours but no manifest mentions them, because which of them are applied is unknown. */
const strangers = Effect.fnUntraced(function* (project: Project) {
  if (Option.isSome(project.manifest)) return
  const texts = yield* readTexts(
    project.directory,
    project.migrations.map((name) => `migrations/${name}`)
  )
  const found = [...texts]
    .filter(([, text]) => text.includes("create schema if not exists outbox;"))
    .map(([path]) => path)
  if (found.length > 0)
    return yield* refused(
      `supabase/${found[0]} creates the schema outbox already, but supabase/${MANIFEST} is missing, so what else is installed is unknown.`,
      "Restore that file from version control. If the migrations were never pushed, delete them and run this again."
    )
})

/** The project in this folder, with everything that a plan needs. */
export const readProject = Effect.fn("readProject")(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const release = yield* Release
  const supabase = path.resolve(directory, "supabase")
  if (!(yield* fs.exists(path.join(supabase, CONFIG))))
    return yield* cannotRun(
      `There is no supabase/${CONFIG} in ${path.resolve(directory)}.`,
      "Name the folder of your project, or run npx supabase init there first."
    )
  const migrations = path.join(supabase, "migrations")
  const names = (yield* fs.exists(migrations)) ? yield* fs.readDirectory(migrations) : []
  const files = yield* Effect.filter(names.filter((name) => name.endsWith(".sql")).toSorted(), (name) =>
    Effect.map(fs.stat(path.join(migrations, name)), ({ type }) => type === "File")
  )
  const manifestText = (yield* readTexts(supabase, [MANIFEST])).get(MANIFEST)
  const manifest = yield* readManifest(manifestText)
  const known = Option.match(manifest, { onNone: () => [], onSome: ({ files }) => Object.keys(files) })
  const project: Project = {
    directory: supabase,
    migrations: files,
    texts: yield* readTexts(supabase, [CONFIG, MANIFEST, ...known, ...release.functions.map(pathOfFunction)]),
    manifest
  }
  yield* strangers(project)
  const [last] = afterAllTimes(project.migrations)
  if (last !== undefined)
    return yield* refused(
      `The migration ${last} sorts after every date, so no migration can be added after it.`,
      "Give it a time: npx supabase migration new shows how they are named."
    )
  return project
})

/** Carries out the steps in order: all of them, or none if one fails. The manifest is last. */
export const apply = Effect.fn("apply")(function* (project: Project, steps: ReadonlyArray<Step>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const undo: Array<Effect.Effect<void, PlatformError>> = []

  const add = Effect.fnUntraced(function* (file: string, text: string) {
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    // Does not overwrite a file that another run has just added.
    yield* fs.writeFileString(file, text, { flag: "wx" })
    undo.push(fs.remove(file))
  })

  const replace = Effect.fnUntraced(function* (file: string, name: string, text: string) {
    const before = yield* fs.readFileString(file)
    if (withLf(before) !== project.texts.get(name))
      return yield* refused(
        `Nothing was changed, because supabase/${name} has just been changed by something else.`,
        "Run this again."
      )
    undo.push(fs.writeFileString(file, before))
    yield* fs.writeFileString(file, before.includes("\r\n") ? text.replaceAll("\n", "\r\n") : text)
  })

  const remove = Effect.fnUntraced(function* (file: string, name: string) {
    const before = yield* fs.readFileString(file)
    yield* fs.remove(file)
    const folder = path.dirname(file)
    undo.push(fs.makeDirectory(folder, { recursive: true }).pipe(Effect.andThen(fs.writeFileString(file, before))))
    const isEmpty = name.startsWith("functions/") && (yield* fs.readDirectory(folder)).length === 0
    if (isEmpty) yield* fs.remove(folder, { recursive: true })
  })

  yield* Effect.forEach(
    steps,
    ({ action, path: name, text = "" }) => {
      const file = path.join(project.directory, name)
      if (action === "add") return add(file, text)
      if (action === "replace") return replace(file, name, text)
      return action === "remove" ? remove(file, name) : Effect.void
    },
    { discard: true }
  ).pipe(
    Effect.onError(() => Effect.forEach(undo.toReversed(), (step) => Effect.ignore(step), { discard: true })),
    Effect.catchTag("PlatformError", ({ message }) =>
      Effect.fail(cannotRun(`Nothing was changed, because a file cannot be written: ${message}`))
    )
  )
})
