import * as net from "node:net"
import { once } from "node:events"
import { setTimeout as wait } from "node:timers/promises"
import { takeReply, type WireReply } from "./http.ts"
import type { Piece } from "./Input.ts"

/** What became of a conversation. */
export interface Outcome {
  readonly replies: ReadonlyArray<WireReply>
  /** Bytes after the last expected reply. */
  readonly rest: Buffer
  readonly end: "open" | "closed" | "late"
  readonly millis: number
}

/** One connection to the function, with the bytes that nobody has read yet. */
export interface Connection {
  readonly socket: net.Socket
  received: Buffer
  closed: boolean
  readonly changed: () => Promise<void>
}

export const connect = async (port: number): Promise<Connection> => {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
  let wake = () => {}
  const connection: Connection = {
    socket,
    received: Buffer.alloc(0),
    closed: false,
    changed: () => new Promise((resolve) => (wake = resolve))
  }
  socket.on("data", (data) => {
    connection.received = connection.received.length === 0 ? data : Buffer.concat([connection.received, data])
    wake()
  })
  const close = (): void => {
    connection.closed = true
    wake()
  }
  socket.on("end", close).on("close", close)
  // A reset is a close; what was expected of the connection decides whether that was right.
  socket.on("error", close)
  await Promise.race([once(socket, "connect"), once(socket, "close")])
  return connection
}

const write = async ({ socket }: Connection, piece: Piece): Promise<void> => {
  if (typeof piece === "number") await wait(piece)
  else if (piece === "hang up") socket.resetAndDestroy()
  else if (socket.writable) void (piece === "half-close" ? socket.end() : socket.write(piece))
}

const isPause = (piece: Piece): piece is number => typeof piece === "number"

/** Says all pieces, and listens until so many replies are there, the connection ends or the time is up. */
export const converse = async (
  connection: Connection,
  pieces: ReadonlyArray<Piece>,
  methods: ReadonlyArray<string>,
  { alone, deadlineMillis }: { readonly alone: boolean; readonly deadlineMillis: number }
): Promise<Outcome> => {
  const replies: Array<WireReply> = []
  let late = false
  let answered = false
  const startedAt = performance.now()
  const pauses = pieces.filter(isPause).reduce((sum, pause) => sum + pause, 0)
  const timer = setTimeout(() => {
    late = true
    connection.socket.destroy()
  }, deadlineMillis + pauses)
  const speaking = (async () => {
    for (const piece of pieces) {
      if (answered) return
      await write(connection, piece)
    }
  })()
  if (methods.length === 0) await speaking
  for (;;) {
    const method = methods[replies.length]
    const taken = method === undefined ? undefined : takeReply(connection.received, method, connection.closed)
    if (taken === undefined && (method === undefined || connection.closed)) break
    if (taken === undefined) await connection.changed()
    else {
      connection.received = taken.rest
      replies.push(taken.reply)
    }
  }
  answered = true
  const millis = performance.now() - startedAt
  if (alone) {
    connection.socket.end()
    while (!connection.closed) await connection.changed()
  }
  clearTimeout(timer)
  return { replies, rest: connection.received, end: late ? "late" : connection.closed ? "closed" : "open", millis }
}
