import { readFileSync } from "node:fs"
import { join } from "node:path"
import { findPackage, packageVersion } from "../local/packages.ts"

/** What bench/package.json asks for and bench/node_modules does not hold, in that version, as name@version. */
export const missingPackages = (): ReadonlyArray<string> => {
  const manifest: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(import.meta.dirname, "package.json"), "utf8")
  )
  return Object.entries(manifest.dependencies).flatMap(([name, version]) => {
    const directory = findPackage(name, import.meta.dirname)
    return directory !== undefined && packageVersion(directory) === version ? [] : [`${name}@${version}`]
  })
}
