import { realpathSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname } from "node:path"
import { StackError } from "./StackError.ts"

/** The user whose files these are; 0 (root) where a system has no such numbers. */
export const userId = (): number => process.getuid?.() ?? 0

const OTHERS_MAY_ENTER = 0o001

/**
 * Where temporary files go. Started by root, the stack runs PostgreSQL as another user, who must be able to reach them:
 * a TMPDIR inside root's own directory will not do then.
 */
export const temporaryDirectory = (): string => {
  if (userId() !== 0) return tmpdir()
  const found = [tmpdir(), "/tmp", "/var/tmp"].find(isOpen)
  if (found !== undefined) return found
  throw new StackError(
    `PostgreSQL does not run as root, and no other user may enter ${tmpdir()} or /tmp. ` +
      `Set TMPDIR to a directory that all may enter (chmod 1777), or start the stack as an ordinary user.`
  )
}

/** Where the data of PostgreSQL goes: to the directory in STACK_DATA, or with all other temporary files. */
export const dataDirectory = (): string => process.env["STACK_DATA"] ?? temporaryDirectory()

const isOpen = (directory: string): boolean => {
  try {
    for (let path = realpathSync(directory); ; path = dirname(path)) {
      if ((statSync(path).mode & OTHERS_MAY_ENTER) === 0) return false
      if (path === dirname(path)) return true
    }
  } catch {
    return false
  }
}
