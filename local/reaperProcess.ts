// Run by Reaper.ts as a separate process; see there why.
import { rmSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as wait } from "node:timers/promises"

const GRACE_MILLISECONDS = 5_000
const POLL_MILLISECONDS = 20

const processes = new Map<number, string>()
const directories: Array<string> = []

const signalGroup = (pid: number, signal: string | number): boolean => {
  try {
    // The process group: every watched process leads its own.
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

const isAlive = (pid: number): boolean => signalGroup(pid, 0)

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, subject = "", signal = ""] = line.split(" ")
  if (verb === "watch") processes.set(Number(subject), signal)
  else if (verb === "forget") processes.delete(Number(subject))
  else if (verb === "remove") directories.push(line.slice("remove ".length))
}

for (const [pid, signal] of processes) signalGroup(pid, signal)
for (const deadline = Date.now() + GRACE_MILLISECONDS; Date.now() < deadline; await wait(POLL_MILLISECONDS)) {
  if (![...processes.keys()].some(isAlive)) break
}
for (const pid of processes.keys()) signalGroup(pid, "SIGKILL")
for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
