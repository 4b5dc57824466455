import * as Option from "effect/Option"
import { type FunctionName, MAIL, namesOf, type ReleaseFile } from "../Release.ts"
import * as Config from "./configToml.ts"
import { digestOf, encode, MANIFEST, type Manifest } from "./Manifest.ts"
import { render, uninstallMigration, WATCH } from "./render.ts"
import { stampsAfter } from "./stamps.ts"
import type { Watched } from "./Watched.ts"

/** A project as it is. Paths are below its folder `supabase`. */
export interface Project {
  readonly directory: string
  /** The names of all its migrations. */
  readonly migrations: ReadonlyArray<string>
  /** The contents of the files that a plan may touch. */
  readonly texts: ReadonlyMap<string, string>
  readonly manifest: Option.Option<Manifest>
}

/** What happens to one file. A file that was changed by hand is kept, and `note` says what follows. */
export interface Step {
  readonly path: string
  readonly action: "add" | "replace" | "remove" | "same" | "keep"
  readonly text?: string
  readonly note?: string
  /** Until you do something, the project does not work, or not like this release. */
  readonly needsYou?: boolean
}

interface Wanted {
  readonly version: string
  readonly migrations: ReadonlyArray<ReleaseFile>
  readonly functions: ReadonlyArray<ReleaseFile>
}

export const CONFIG = "config.toml"
const PREFIX = "outbox_"

export const pathOfFunction = ({ name }: ReleaseFile): string => `functions/${name}`
const sourceOf = (path: string): string => path.replaceAll(/^migrations\/\d+_outbox_|\.sql$/g, "")
const isMigration = (path: string): boolean => path.startsWith("migrations/")

const filesOf = ({ manifest }: Project): Readonly<Record<string, string>> =>
  Option.match(manifest, { onNone: () => ({}), onSome: ({ files }) => files })

const isOfMail = (path: string): boolean => path.startsWith(`functions/${MAIL}/`)

/** Whether the function that mails was installed. */
export const hasMail = (project: Project): boolean => Object.keys(filesOf(project)).some(isOfMail)

const isUnchanged = (project: Project, path: string): boolean =>
  digestOf(project.texts.get(path) ?? "") === filesOf(project)[path]

const installed = (project: Project): ReadonlyArray<Step> =>
  Object.keys(filesOf(project))
    .filter(isMigration)
    .map((path) => {
      if (!project.texts.has(path)) return { path, action: "keep", note: "was deleted, and is not added again" }
      return isUnchanged(project, path)
        ? { path, action: "same" }
        : { path, action: "keep", note: "was changed by hand" }
    })

/** New migrations, with times that come after all others. */
const added = (project: Project, files: ReadonlyArray<ReleaseFile>, now: number): ReadonlyArray<Step> => {
  const stamps = stampsAfter(project.migrations, files.length, now)
  return files.map(({ name, text }, index) => ({
    path: `migrations/${stamps[index]}_${PREFIX}${name}.sql`,
    action: "add",
    text
  }))
}

/** The newest migration of each name, replaced in place, because none has been applied anywhere. */
const rewritten = (project: Project, files: ReadonlyArray<ReleaseFile>): ReadonlyArray<Step> =>
  files.flatMap(({ name, text }): ReadonlyArray<Step> => {
    const path = Object.keys(filesOf(project))
      .filter((path) => isMigration(path) && sourceOf(path) === name)
      .toSorted()
      .at(-1)
    if (path === undefined || project.texts.get(path) === text) return []
    return isUnchanged(project, path)
      ? [{ path, action: "replace", text }]
      : [{ path, action: "keep", note: "was changed by hand, so it does not get the new words", needsYou: true }]
  })

const functionStep = (project: Project, file: ReleaseFile): Step => {
  const path = pathOfFunction(file)
  const { text } = file
  const current = project.texts.get(path)
  if (current === undefined) return { path, action: "add", text }
  if (current === text) return { path, action: "same" }
  const recorded = filesOf(project)[path]
  if (digestOf(current) === recorded) return { path, action: "replace", text }
  if (recorded === digestOf(text)) return { path, action: "keep", note: "was changed by hand" }
  const note =
    recorded === undefined
      ? "was not created by this command. Rename it or delete it, then run this again"
      : "was changed by hand. To get this release's, delete it and run this again"
  return { path, action: "keep", note, needsYou: true }
}

/** Files of functions that an earlier release had and this one does not. */
const leftOver = (project: Project, wanted: ReadonlyArray<ReleaseFile>): ReadonlyArray<Step> => {
  const paths = new Set(wanted.map(pathOfFunction))
  return Object.keys(filesOf(project))
    .filter((path) => !isMigration(path) && !paths.has(path) && project.texts.has(path))
    .map((path) =>
      isUnchanged(project, path) ? { path, action: "remove" } : { path, action: "keep", note: "was changed by hand" }
    )
}

const configStep = (project: Project, names: ReadonlyArray<FunctionName>): ReadonlyArray<Step> => {
  const toml = project.texts.get(CONFIG) ?? ""
  const kept = Config.differences(toml, names).map(({ lacks, name }): Step => ({
    path: CONFIG,
    action: "keep",
    note: `[functions.${name}] must have: ${lacks.join(", ")}`,
    needsYou: true
  }))
  const text = Config.withFunctions(toml, names)
  return text === toml ? kept : [...kept, { path: CONFIG, action: "replace", text, note: "a table for each function" }]
}

/** The steps, and a last one that records the result in the manifest. */
const withManifest = (
  project: Project,
  steps: ReadonlyArray<Step>,
  { version, watched }: Pick<Manifest, "version" | "watched">
): ReadonlyArray<Step> => {
  const before = filesOf(project)
  const files = steps.flatMap(({ action, path, text }): ReadonlyArray<readonly [string, string]> => {
    if (path === CONFIG || action === "remove") return []
    const digest =
      text === undefined ? (action === "same" ? digestOf(project.texts.get(path) ?? "") : before[path]) : digestOf(text)
    return digest === undefined ? [] : [[path, digest]]
  })
  const text = encode({ version, watched, files: Object.fromEntries(files) })
  const current = project.texts.get(MANIFEST)
  if (current === text) return steps
  return [
    ...steps,
    { path: MANIFEST, action: current === undefined ? "add" : "replace", text, note: "what was installed" }
  ]
}

interface Wish {
  readonly now: number
  readonly watched: Watched
  /** Whether the function that mails is wanted. */
  readonly mail: boolean
  /** Whether the project's migrations may be applied somewhere. */
  readonly pushed: boolean
}

/** The steps to install or upgrade. */
export const planInstall = (
  project: Project,
  { functions: shipped, migrations, version }: Wanted,
  { mail, now, pushed, watched }: Wish
): ReadonlyArray<Step> => {
  const functions = shipped.filter((file) => mail || !isOfMail(pathOfFunction(file)))
  const rendered = render(migrations, watched)
  const present = new Set(Object.keys(filesOf(project)).filter(isMigration).map(sourceOf))
  const missing = rendered.filter(({ name }) => !present.has(name))
  const known = Option.match(project.manifest, { onNone: () => watched, onSome: ({ watched }) => watched })
  const before = new Map(render(migrations, known).map(({ name, text }) => [name, text]))
  const other = rendered.filter(({ name, text }) => present.has(name) && before.get(name) !== text)
  const again = pushed ? other.filter(({ name }) => name === WATCH) : []
  const inPlace = pushed ? [] : rewritten(project, other)
  const replaced = new Set(inPlace.map(({ path }) => path))
  const steps = [
    ...installed(project).filter(({ path }) => !replaced.has(path)),
    ...inPlace,
    ...added(project, [...missing, ...again], now),
    ...functions.map((file) => functionStep(project, file)),
    ...leftOver(project, functions),
    ...configStep(project, namesOf(mail))
  ]
  return withManifest(project, steps, { version, watched })
}

/** The steps to uninstall. Migrations that may be applied somewhere stay, and one that undoes them is added. */
export const planUninstall = (
  project: Project,
  { migrations }: Wanted,
  { manifest, now, pushed }: { readonly manifest: Manifest; readonly now: number; readonly pushed: boolean }
): ReadonlyArray<Step> => {
  const files = Object.keys(manifest.files).filter((path) => !(pushed && isMigration(path)) && project.texts.has(path))
  const removed = files.map((path): Step => {
    if (isUnchanged(project, path)) return { path, action: "remove" }
    return { path, action: "keep", note: "was changed by hand: delete it yourself", needsYou: true }
  })
  const toml = project.texts.get(CONFIG) ?? ""
  const text = Config.withoutFunctions(toml)
  const steps: ReadonlyArray<Step> = [
    ...(pushed ? added(project, [{ name: "uninstall", text: uninstallMigration(migrations) }], now) : []),
    ...removed,
    ...(text === toml
      ? []
      : [{ path: CONFIG, action: "replace" as const, text, note: "without the functions' tables" }])
  ]
  if (!pushed) return [...steps, { path: MANIFEST, action: "remove" }]
  // Kept, so that a later install knows that the remaining migrations are undone.
  return [...steps, { path: MANIFEST, action: "replace", text: encode({ ...manifest, files: {} }), note: "empty" }]
}
