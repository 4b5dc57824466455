import { createInterface } from "node:readline"
import type { Readable } from "node:stream"

export type LogSource =
  | "postgres"
  | "postgrest"
  | "handler"
  | "orchestrator"
  | `functions/${string}`
  | "net"
  | "http"
  | "cron"
  | "resend"
  | "stack"

export interface StackLog {
  readonly source: LogSource
  readonly text: string
}

export type Log = (line: StackLog) => void

export const eachLine = (stream: Readable | null, use: (text: string) => void): void => {
  if (stream === null) return
  // A killed process may leave its pipe in error; its exit is noticed elsewhere.
  stream.on("error", () => {})
  createInterface({ input: stream, crlfDelay: Infinity }).on("line", use)
}
