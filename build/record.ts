// What the last build was made of, so that `npm start` need not bundle again what has not changed.
import { createHash } from "node:crypto"
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"

/** Digests of files, by their path from the root. */
type Digests = Readonly<Record<string, string>>

const RECORD = "node_modules/.cache/pause-status-webhook-handler/build.json"
// A change of any of these can change every bundle. The lock file stands for all packages.
const RECIPE = ["build.ts", "package.json", "package-lock.json", "tsconfig.json"]

const digestOf = async (path: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex")

const digests = async (root: string, paths: Iterable<string>): Promise<Digests> => {
  const entries = [...new Set(paths)].toSorted().map(async (path) => [path, await digestOf(join(root, path))] as const)
  return Object.fromEntries(await Promise.all(entries))
}

const recipeOf = async (root: string): Promise<ReadonlyArray<string>> => [
  ...RECIPE,
  ...(await readdir(join(root, "build"))).map((name) => `build/${name}`)
]

/** Keeps what a build was made of and what it made, all as paths from the root. */
export const recordBuild = async (root: string, sources: Iterable<string>, made: Iterable<string>): Promise<void> => {
  const files = await digests(root, [...(await recipeOf(root)), ...sources, ...made])
  const path = join(root, RECORD)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.${process.pid}`, JSON.stringify(files))
  await rename(`${path}.${process.pid}`, path)
}

/** Whether every file of the last build, made or taken in, is as it was then. */
export const isBuilt = async (root: string): Promise<boolean> => {
  try {
    const recorded: Digests = JSON.parse(await readFile(join(root, RECORD), "utf8"))
    const files = await digests(root, [...(await recipeOf(root)), ...Object.keys(recorded)])
    return JSON.stringify(files) === JSON.stringify(recorded)
  } catch {
    // No record yet, or a file of it is gone.
    return false
  }
}
