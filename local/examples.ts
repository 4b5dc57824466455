import { build } from "esbuild"
import { existsSync, readdirSync } from "node:fs"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { settings } from "../build.ts"
import type { StackFunction, StackOptions } from "./stack.ts"

const root = join(import.meta.dirname, "..")
const folder = join(root, "examples")

const foldersIn = (path: string): ReadonlyArray<string> =>
  existsSync(path)
    ? readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    : []

/** Whatever has migrations and Edge Functions of its own for the embedded stack: the larger app brings its own server. */
export const examples: ReadonlyArray<string> = foldersIn(folder).filter((name) =>
  existsSync(join(folder, name, "supabase", "functions"))
)

// What the examples import is what an app gets from the package's tarball.
const entries = ["", "topic", "http", "supabase", "client", "testing"]
const alias = Object.fromEntries(
  entries.map((name) => [
    `pause-status-webhook-handler${name === "" ? "" : `/${name}`}`,
    join(root, "src/entries", `${name === "" ? "index" : name}.ts`)
  ])
)

const bundle = async (entry: string, outfile: string): Promise<void> => {
  const { outputFiles } = await build({ ...settings, alias, entryPoints: [entry], outfile })
  const code = outputFiles[0]?.contents ?? new Uint8Array()
  await mkdir(dirname(outfile), { recursive: true })
  await writeFile(outfile, code)
}

/** A function of an example. The one that has the example's name takes its topic. */
const functionOf = async (example: string, name: string): Promise<StackFunction> => {
  const directory = join(folder, example, "supabase", "functions", name)
  const outfile = join(directory, "dist", "index.mjs")
  await bundle(join(directory, "index.ts"), outfile)
  const receives = { topic: name, functionUrl: `${name.replaceAll("-", "_")}_url` }
  return { name, bundle: outfile, ...(name === example && { receives }) }
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
