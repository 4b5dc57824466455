import { constants } from "node:fs"
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { codeOf, StackError } from "./StackError.ts"
import { temporaryDirectory, userId } from "./temporary.ts"

const MANIFEST = ".complete.json"
const OLD_DRAFT_MILLISECONDS = 10 * 60 * 1_000

/**
 * A directory that is filled once and then shared by all stacks of this user. It is filled under another name and
 * renamed, so that two stacks may start at once and a killed one leaves nothing half done; a list of the files' sizes
 * shows when a cleaner of temporary files has deleted some, and then it is filled again.
 */
export const privateCopy = async (label: string, fill: (directory: string) => Promise<void>): Promise<string> => {
  const target = join(temporaryDirectory(), `pause-status-${userId()}-${label}`)
  await refuseForeign(target)
  if (await isComplete(target)) return target

  await removeOldDrafts(target)
  const draft = await mkdtemp(`${target}-draft-`)
  try {
    const content = join(draft, "content")
    await mkdir(content)
    await fill(content)
    await openToReaders(content)
    await writeFile(join(content, MANIFEST), JSON.stringify(await sizes(content)))
    while (!(await isComplete(target))) {
      try {
        await rename(content, target)
      } catch (cause) {
        const code = codeOf(cause)
        if (code !== "ENOTEMPTY" && code !== "EEXIST") throw cause
        if (await isComplete(target)) break
        await rename(target, join(await mkdtemp(join(draft, "damaged-")), "content"))
      }
    }
    return target
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

export const copyTree = (from: string, to: string): Promise<void> =>
  cp(from, to, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })

// The directory for temporary files is open to everyone: another user could have put programs there under our name.
const refuseForeign = async (target: string): Promise<void> => {
  const found = await lstat(target).catch(() => undefined)
  if (found === undefined) return
  if (!found.isDirectory() || found.uid !== userId()) {
    throw new StackError(`${target} belongs to somebody else. Remove it, or set TMPDIR to a directory of your own.`)
  }
}

// A launcher that was killed while it copied leaves its draft behind.
const removeOldDrafts = async (target: string): Promise<void> => {
  for (const name of await readdir(dirname(target))) {
    const path = join(dirname(target), name)
    if (!path.startsWith(`${target}-draft-`)) continue
    const age = Date.now() - (await lstat(path)).mtimeMs
    if (age > OLD_DRAFT_MILLISECONDS) await rm(path, { recursive: true, force: true })
  }
}

const files = async (directory: string): Promise<ReadonlyArray<string>> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter((name) => name !== MANIFEST)
    .toSorted()

const sizes = async (directory: string): Promise<Record<string, number>> =>
  Object.fromEntries(
    await Promise.all(
      (await files(directory)).map(async (name) => [name, (await lstat(join(directory, name))).size] as const)
    )
  )

const isComplete = async (directory: string): Promise<boolean> => {
  try {
    const expected = await readFile(join(directory, MANIFEST), "utf8")
    return expected === JSON.stringify(await sizes(directory))
  } catch {
    return false
  }
}

// The programs are run by another user when the stack is started by root.
const openToReaders = async (directory: string): Promise<void> => {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) await chmod(path, 0o755)
    else if (entry.isFile()) await chmod(path, ((await lstat(path)).mode & 0o777) | 0o444)
  }
}
