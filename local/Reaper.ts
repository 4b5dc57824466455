import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/**
 * Ends the stack's processes and removes its directories when the launcher is gone, even after `kill -9`, which no
 * handler in the launcher can see. It is a separate process that does nothing until the pipe from the launcher
 * closes, which happens on every system however the launcher dies.
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
