import { randomInt } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:net"
import { codeOf, StackError } from "./StackError.ts"

export const LOOPBACK = "127.0.0.1"

// Below the ranges that systems hand out to outgoing connections (from 32768 on Linux). Were a port from that range
// free for a moment, while its server restarts, then an outgoing connection could take it, or even connect to itself.
const LOWEST_PORT = 20_000
const HIGHEST_PORT = 32_000
const ATTEMPTS = 50

const portIsFree = async (port: number): Promise<boolean> => {
  const server = createServer()
  try {
    server.listen(port, LOOPBACK)
    await once(server, "listening")
    return true
  } catch (cause) {
    const code = codeOf(cause)
    if (code === "EADDRINUSE" || code === "EACCES") return false
    throw cause
  } finally {
    server.close()
  }
}

export const takenPort = (port: number, option: string): StackError =>
  new StackError(
    `Port ${port} on ${LOOPBACK} is taken. Stop the program that uses it, or choose another port with ${option}.`
  )

export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT)
    if (await portIsFree(port)) return port
  }
  throw new StackError(`No free port between ${LOWEST_PORT} and ${HIGHEST_PORT} on ${LOOPBACK}. Close some programs.`)
}

/** The wanted port, checked, or a free one when 0 or nothing is wanted. */
export const choosePort = async (wanted: number | undefined, option: string): Promise<number> => {
  if (wanted === undefined || wanted === 0) return freePort()
  if (await portIsFree(wanted)) return wanted
  throw takenPort(wanted, option)
}
