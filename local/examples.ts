import { existsSync, readdirSync } from "node:fs"
import { mkdir, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Plugin, rolldown } from "rolldown"
import { settings } from "../build.ts"
import type { StackFunction, StackOptions } from "./stack.ts"

const root = join(import.meta.dirname, "..")
const folder = join(root, "examples")
const PACKAGE = "pause-status-webhook-handler"

const foldersIn = (path: string): ReadonlyArray<string> =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    : []

/** The examples that can run. Each has Edge Functions, migrations and a tour. */
export const examples: ReadonlyArray<string> = foldersIn(folder).filter((name) =>
  existsSync(join(folder, name, "tour.sql"))
)

// The examples import what an app gets from the package's tarball.
const alias = Object.fromEntries(
  ["topic", "http", "supabase", "client", "testing", ""].map((name) => [
    name === "" ? PACKAGE : `${PACKAGE}/${name}`,
    join(root, "src/entries", `${name === "" ? "index" : name}.ts`)
  ])
)

/** An example whose bundles need more than others says so in its build/edge.ts. */
const pluginsOf = async (example: string): Promise<ReadonlyArray<Plugin>> => {
  const path = join(folder, example, "build", "edge.ts")
  if (!existsSync(path)) return []
  const { plugins }: { readonly plugins: ReadonlyArray<Plugin> } = await import(pathToFileURL(path).href)
  return plugins
}

/** One file of a function. **Shape** `name` is the file's, such as index.mjs. */
interface FunctionFile {
  readonly name: string
  readonly code: string
}

/**
 * A function of an example, not yet in its place. What it imports only when it needs it gets its own file next to
 * index.mjs. By Rolldown, because esbuild keeps all of a package's entry of which anything is imported.
 */
export const bundleFunction = async (example: string, name: string): Promise<ReadonlyArray<FunctionFile>> => {
  await using bundled = await rolldown({
    input: { index: join(folder, example, "supabase", "functions", name, "index.ts") },
    platform: "neutral",
    plugins: [...(await pluginsOf(example))],
    resolve: { alias, mainFields: [...settings.mainFields] },
    // The other names of settings.define are shadowed by effect's own of the same name, which Rolldown does not heed.
    transform: { define: { "globalThis.process": "undefined" }, target: settings.target },
    tsconfig: false
  })
  const { output } = await bundled.generate({
    format: "esm",
    minify: true,
    entryFileNames: "[name].mjs",
    chunkFileNames: "[name].mjs"
  })
  return output.flatMap((file) => (file.type === "chunk" ? [{ name: file.fileName, code: file.code }] : []))
}

// Renamed into place once complete, because a starting function may be reading the old one.
const place = async (directory: string, { code, name }: FunctionFile): Promise<void> => {
  const path = join(directory, name)
  const unfinished = `${path}.${process.pid}`
  await mkdir(directory, { recursive: true })
  await writeFile(unfinished, code)
  await rename(unfinished, path)
}

/** A function of an example. The one that has the example's name takes its topic. */
const functionOf = async (example: string, name: string): Promise<StackFunction> => {
  const directory = join(folder, example, "supabase", "functions", name, "dist")
  const files = await bundleFunction(example, name)
  await Promise.all(files.map((file) => place(directory, file)))
  const receives = { topic: name, functionUrl: `${name.replaceAll("-", "_")}_url` }
  return { name, bundle: join(directory, "index.mjs"), ...(name === example && { receives }) }
}

/** Builds an example's functions, for a stack that serves them and applies its migrations. */
export const buildExample = async (
  example: string
): Promise<Required<Pick<StackOptions, "functions" | "migrations">>> => {
  const names = foldersIn(join(folder, example, "supabase", "functions"))
  return {
    functions: await Promise.all(names.map((name) => functionOf(example, name))),
    migrations: [join(folder, example, "supabase", "migrations")]
  }
}
