import { existsSync } from "node:fs"
import { copyFile, mkdir, symlink } from "node:fs/promises"
import { join } from "node:path"
import { copyTree } from "../privateCopy.ts"
import { StackError } from "../StackError.ts"
import { copyWithExtensions, type PostgresBinaries } from "./binaries.ts"

const VERSION = "15"
const INSTALLED = `/usr/lib/postgresql/${VERSION}`
const SHARED = `share/postgresql/${VERSION}`

/**
 * Debian's PostgreSQL 15 with the stand-in extensions: unlike the embedded one it was built with LLVM. Its programs are
 * copied, because they look for their files from where they are; its libraries stay where they are.
 */
export const debianBinaries = async (): Promise<PostgresBinaries> => {
  for (const file of [`${INSTALLED}/bin/postgres`, `${INSTALLED}/lib/llvmjit.so`]) {
    if (existsSync(file)) continue
    throw new StackError(
      `${file} is missing: this needs Debian's PostgreSQL ${VERSION}, which compiles with LLVM. On Debian 12, run ` +
        `apt-get install postgresql-${VERSION}.`
    )
  }
  const copy = await copyWithExtensions(`debian-${VERSION}`, SHARED, async (copy) => {
    const home = join(copy, "lib", "postgresql", VERSION)
    await mkdir(join(home, "bin"), { recursive: true })
    for (const program of ["initdb", "postgres"]) {
      await copyFile(join(INSTALLED, "bin", program), join(home, "bin", program))
    }
    await symlink(join(INSTALLED, "lib"), join(home, "lib"))
    await copyTree(join("/usr", SHARED), join(copy, SHARED))
  })
  return { directory: join(copy, "lib", "postgresql", VERSION), version: VERSION }
}
