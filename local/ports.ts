import { randomInt } from "node:crypto"
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import { codeOf, StackError } from "./StackError.ts"

export const LOOPBACK = "127.0.0.1"

// Below the ranges that systems hand out to outgoing connections (from 32768 on Linux). Were a port from that range
// free for a moment, while its server restarts, then an outgoing connection could take it, or even connect to itself.
const LOWEST_PORT = 20_000
const HIGHEST_PORT = 32_000
const ATTEMPTS = 50

const listenOn = async (port: number): Promise<Server | undefined> => {
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen(port, LOOPBACK)
    await once(server, "listening")
    return server
  } catch (cause) {
    const code = codeOf(cause)
    if (code === "EADDRINUSE" || code === "EACCES") return undefined
    throw cause
  }
}

const close = async (server: Server): Promise<void> => {
  const closed = once(server, "close")
  server.close()
  await closed
}

const portIsFree = async (port: number): Promise<boolean> => {
  const server = await listenOn(port)
  if (server !== undefined) await close(server)
  return server !== undefined
}

export const takenPort = (port: number, option: string): StackError =>
  new StackError(
    `Port ${port} on ${LOOPBACK} is taken.\nStop the program that uses it, or choose another port with ${option}.`
  )

export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT)
    if (await portIsFree(port)) return port
  }
  throw new StackError(`No free port between ${LOWEST_PORT} and ${HIGHEST_PORT} on ${LOOPBACK}. Close some programs.`)
}

/** The requested port, checked, or a free one for 0 or none. */
export const choosePort = async (wanted: number | undefined, option: string): Promise<number> => {
  if (wanted === undefined || wanted === 0) return freePort()
  if (await portIsFree(wanted)) return wanted
  throw takenPort(wanted, option)
}

export interface HeldPort extends AsyncDisposable {
  readonly port: number
  /** Releases the port for its server. */
  release(): Promise<void>
}

/** The same, held until its server is ready, so that another stack that starts meanwhile chooses another. */
export const holdPort = async (wanted: number | undefined, option: string): Promise<HeldPort> => {
  for (;;) {
    const port = await choosePort(wanted, option)
    const server = await listenOn(port)
    if (server === undefined) continue
    let released: Promise<void> | undefined
    const release = (): Promise<void> => (released ??= close(server))
    return { port, release, [Symbol.asyncDispose]: release }
  }
}
