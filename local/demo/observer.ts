import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type pg from "pg"
import { connect, withClient } from "../postgres/connect.ts"

interface Seen {
  readonly eventId: string
  /** Milliseconds since 1970 by PostgreSQL's clock, to the microsecond. */
  readonly at: number
}

/** A committed step of an event, as observer.sql announces it. */
export type Observation = Seen &
  (
    | { readonly kind: "committed" }
    | { readonly kind: "accepted" }
    | { readonly kind: "notified"; readonly coordinator: string }
    | QueueStep
  )

export interface QueueStep {
  readonly kind: "queue"
  readonly mentor: string
  readonly transition: string
  readonly version: number | null
  readonly before: string | null
  readonly status: string
  readonly attempts: number
  readonly sent: boolean
  readonly error: string | null
  readonly waitSeconds: number | null
}

const RECONNECT_MILLISECONDS = 200

export const installObserver = async (databaseUrl: string): Promise<void> => {
  const sql = await readFile(join(import.meta.dirname, "observer.sql"), "utf8")
  await withClient(databaseUrl, (client) => client.query(`begin; ${sql}; commit`))
}

/** Receives every announcement from now on, and reconnects if PostgreSQL restarts. */
export const observe = async (databaseUrl: string, use: (seen: Observation) => void): Promise<AsyncDisposable> => {
  const leaving = new AbortController()
  let client: pg.Client | undefined

  const open = async (): Promise<void> => {
    const opened = await connect(databaseUrl, "demo observer")
    opened.on("notification", ({ payload = "" }) => {
      const seen: Observation = JSON.parse(payload)
      use(seen)
    })
    await opened.query("listen demo")
    opened.on("end", () => void reopen())
    client = opened
  }
  const reopen = async (): Promise<void> => {
    for (;;) {
      await wait(RECONNECT_MILLISECONDS, undefined, { ref: false })
      if (leaving.signal.aborted) return
      try {
        return await open()
      } catch {
        // Not back yet.
      }
    }
  }

  await open()
  return {
    [Symbol.asyncDispose]: async () => {
      leaving.abort()
      await client?.end().catch(() => {})
    }
  }
}
