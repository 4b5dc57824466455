// The stand-in for pg_net's background worker; a separate process, so that it can be killed like the real one.
import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { connect } from "../postgres/connect.ts"
import { messageOf } from "../StackError.ts"
import { runBatch } from "./batch.ts"
import { Latch } from "./Latch.ts"

const databaseUrl = process.env["NET_DATABASE_URL"] ?? ""
const betweenBatches = process.env["NET_PACING"] === "fast" ? 0 : 1_000
const RECONNECT_MILLISECONDS = 200
const RESTART_MILLISECONDS = 1_000

const latch = new Latch()
// Only the first wake since the queue was last found empty sets the latch. That is why traffic that does not stop is
// served once a second: pg_net's own rule, kept because it decides how late a request can be. It begins as true for
// whatever was committed while nobody listened.
let shouldWake = true
const restart = new AbortController()

const wake = (): void => {
  if (shouldWake) return
  shouldWake = true
  latch.set()
}

const askToRestart = (): void => {
  restart.abort()
  latch.set()
}

const open = async (name: string, pipeline = false): Promise<Client> => {
  for (let lastMessage = ""; ;) {
    try {
      const client = await connect(databaseUrl, name, pipeline)
      // As with the real worker, requests in progress end with the server.
      client.on("end", () => process.exit(1))
      return client
    } catch (cause) {
      if (restart.signal.aborted) process.exit(0)
      const message = messageOf(cause)
      if (message !== lastMessage) console.error(message)
      lastMessage = message
      await wait(RECONNECT_MILLISECONDS)
    }
  }
}

process.on("SIGTERM", askToRestart)

// Two connections: one inside a transaction hears nothing.
const ear = await open("pg_net ear")
ear.on("notification", ({ channel }) => (channel === "pg_net_restart" ? askToRestart() : wake()))
await ear.query("listen pg_net_wake; listen pg_net_restart")
const hands = await open("pg_net 0.20.4", true)
console.log("ready")

const serveOnce = async (): Promise<void> => {
  if (!shouldWake) return latch.wait()
  shouldWake = false
  for (let busy = true; busy && !restart.signal.aborted;) {
    const batch = await runBatch(hands)
    if (batch.requests > 0) console.log(`sent ${batch.requests} requests`)
    busy = batch.requests > 0 || batch.expired > 0
    if (!restart.signal.aborted) await latch.wait(betweenBatches)
  }
}

try {
  while (!restart.signal.aborted) await serveOnce()
  process.exit(0)
} catch (cause) {
  // The batch was rolled back although its requests were sent; they will be sent again, but not in a tight loop.
  console.error(messageOf(cause))
  await wait(RESTART_MILLISECONDS)
  process.exit(1)
}
