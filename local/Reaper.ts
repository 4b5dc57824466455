import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/**
 * Ends the stack's processes and removes its directories when the launcher is gone, even after `kill -9`, which no
 * handler in the launcher can see. It is a process of its own that does nothing until the pipe from the launcher
 * closes: the one sign of death that every system gives for every kind of death.
 */
export interface Reaper extends AsyncDisposable {
  watch(pid: number, signal: NodeJS.Signals): void
  forget(pid: number): void
  removeAtEnd(directory: string): void
}

export const startReaper = (): Reaper => {
  const orders = new Map<string, string>()
  let closed = false

  const launch = (): ChildProcess => {
    const child = spawn(process.execPath, [fileURLToPath(new URL("./reaperProcess.ts", import.meta.url))], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
      env: {}
    })
    child.stdin?.on("error", () => {})
    child.on("error", () => {})
    child.once("exit", () => {
      if (closed) return
      reaper = launch()
      for (const order of orders.values()) send(order)
    })
    return child
  }
  const send = (order: string): void => void reaper.stdin?.write(`${order}\n`)
  let reaper = launch()

  return {
    watch: (pid, signal) => {
      const order = `watch ${pid} ${signal}`
      orders.set(`${pid}`, order)
      send(order)
    },
    forget: (pid) => {
      orders.delete(`${pid}`)
      send(`forget ${pid}`)
    },
    removeAtEnd: (directory) => {
      const order = `remove ${directory}`
      orders.set(directory, order)
      send(order)
    },
    [Symbol.asyncDispose]: async () => {
      closed = true
      reaper.stdin?.end()
      if (reaper.exitCode === null && reaper.signalCode === null) await once(reaper, "exit")
    }
  }
}
