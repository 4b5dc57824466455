import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { StackError } from "./StackError.ts"

const fromHere = createRequire(import.meta.url)

/**
 * The directory of an installed npm package, looked up from here or from inside another package (a package manager may
 * nest it there). Found by walking to package.json, because some packages do not export that file.
 */
export const findPackage = (name: string, from?: string): string | undefined => {
  const require = from === undefined ? fromHere : createRequire(join(from, "package.json"))
  for (const modules of require.resolve.paths(name) ?? []) {
    const directory = join(modules, name)
    if (existsSync(join(directory, "package.json"))) return directory
  }
  return undefined
}

export const packageVersion = (directory: string): string => {
  const manifest: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) return String(manifest.version)
  throw new StackError(`${join(directory, "package.json")} has no version. Run npm ci.`)
}

export interface PlatformPackage {
  readonly directory: string
  readonly version: string
}

/** The package that carries a program for this platform, found through the package that depends on it. */
export const platformPackage = (wrapper: string, carrier: string): PlatformPackage => {
  const wrapperDirectory = findPackage(wrapper)
  if (wrapperDirectory === undefined) throw missing(wrapper)
  const directory = findPackage(carrier, wrapperDirectory) ?? findPackage(carrier)
  if (directory === undefined) throw missing(carrier)
  return { directory, version: packageVersion(directory) }
}

const missing = (name: string): StackError =>
  new StackError(
    `The npm package ${name} is not installed (this is ${process.platform}-${process.arch}). Run npm ci, without ` +
      `--omit=dev and --omit=optional. If it is still missing, nobody publishes it for this platform: use Linux ` +
      `(x64 or arm64, glibc) or macOS on x64; on an Apple silicon Mac, an x64 Node under Rosetta will do.`
  )
