import { statfsSync } from "node:fs"

const MEMORY = "/dev/shm"
const ENOUGH_BYTES = 4e9

const freeBytes = (directory: string): number => {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize
  } catch {
    return 0
  }
}

/**
 * Lets the databases of the tests live in memory if there is enough of it. Each test file creates dozens, of some 400
 * files each, which takes a virtual machine's disk twenty times as long.
 */
export const keepDataInMemory = (): void => {
  if (process.env["STACK_DATA"] === undefined && freeBytes(MEMORY) > ENOUGH_BYTES) process.env["STACK_DATA"] = MEMORY
}
