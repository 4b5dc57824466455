import type { ClientRequest } from "node:http"
import { performance } from "node:perf_hooks"
import { codeOf, messageOf } from "../StackError.ts"

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Couldn't connect to server",
  EHOSTUNREACH: "Couldn't connect to server",
  ENETUNREACH: "Couldn't connect to server",
  EADDRNOTAVAIL: "Couldn't connect to server",
  ENOTFOUND: "Couldn't resolve host name",
  EAI_AGAIN: "Couldn't resolve host name",
  ERR_INVALID_PROTOCOL: "Unsupported protocol",
  EPIPE: "Failed sending data to the peer",
  ECONNRESET: "Failure when receiving data from the peer"
}

/** libcurl's message for a failure of node:http. */
export const describeFailure = (cause: unknown): string => {
  const message = messageOf(cause)
  // node:http uses one code for both; only the message distinguishes an orderly close from a broken connection.
  if (message === "socket hang up") return "Server returned nothing (no headers, no data)"
  if (message === "aborted") return "Transferred a partial file"
  const code = codeOf(cause) ?? ""
  if (code.startsWith("HPE_")) return "Weird server reply"
  if (code.startsWith("CERT_") || code.includes("_CERT") || code.startsWith("ERR_TLS")) {
    return "SSL peer certificate or SSH remote key was not OK"
  }
  return WORDS[code] ?? message
}

const between = (from: number, to: number): string => (to - from).toFixed(6)

/** When the steps of one request ended, in the milliseconds of performance.now(). */
export class Timings {
  readonly #timeout: number
  readonly #started = performance.now()
  #resolved: number | undefined
  #connected: number | undefined

  constructor(timeout: number) {
    this.#timeout = timeout
  }

  follow(request: ClientRequest, secure: boolean): void {
    request.on("socket", (socket) => {
      if (request.reusedSocket) {
        this.#resolved ??= performance.now()
        this.#connected ??= performance.now()
        return
      }
      socket.once("lookup", () => (this.#resolved ??= performance.now()))
      socket.once("connect", () => (this.#resolved ??= performance.now()))
      socket.once(secure ? "secureConnect" : "connect", () => (this.#connected ??= performance.now()))
    })
  }

  message(now: number): string {
    const resolved = this.#resolved ?? now
    const connected = this.#resolved === undefined ? now : (this.#connected ?? now)
    return (
      `Timeout of ${this.#timeout} ms reached. Total time: ${between(this.#started, now)} ms ` +
      `(DNS time: ${between(this.#started, resolved)} ms, ` +
      `TCP/SSL handshake time: ${between(resolved, connected)} ms, ` +
      `HTTP Request/Response time: ${between(connected, now)} ms)`
    )
  }
}
