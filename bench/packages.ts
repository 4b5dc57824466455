import { readFileSync } from "node:fs"
import { join } from "node:path"
import { findPackage, packageVersion } from "../local/packages.ts"

/** The packages of bench/package.json that bench/node_modules lacks in that version, as name@version. */
export const missingPackages = (): ReadonlyArray<string> => {
  const manifest: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(import.meta.dirname, "package.json"), "utf8")
  )
  return Object.entries(manifest.dependencies).flatMap(([name, version]) => {
    const directory = findPackage(name, import.meta.dirname)
    return directory !== undefined && packageVersion(directory) === version ? [] : [`${name}@${version}`]
  })
}
