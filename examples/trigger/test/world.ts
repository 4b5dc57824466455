import { configure } from "@trigger.dev/sdk"
import { join } from "node:path"
import { startStack, type Stack, type StackOptions } from "../../../local/stack.ts"
import { startTrigger, type Trigger, type TriggerOptions } from "../../../local/trigger/server.ts"
import type { Worker } from "../../../local/trigger/Worker.ts"
import { patientEnv, unhurried } from "../../../test/support/patience.ts"
import { type Database, eventually, makeQuick, openDatabase } from "../../../test/support/pipeline.ts"
import { loadWorker } from "../support/worker.ts"

export const secretKey = "tr_prod_1"

interface Event {
  readonly event_id: string
  readonly status: string
  readonly receipt: { readonly runId?: string } | null
}

/** The embedded stack with ORCHESTRATOR=trigger.dev. The stand-in always has the same address. */
export interface World extends AsyncDisposable {
  readonly stack: Stack
  readonly database: Database
  readonly worker: Worker
  readonly port: number
  readonly startTrigger: (options?: Partial<TriggerOptions>) => Promise<Trigger>
  readonly mentorWith: (coordinators: number) => Promise<string>
  readonly link: (mentor: string) => Promise<unknown>
  readonly become: (mentor: string, status: string) => Promise<unknown>
  readonly redrive: (eventId: string, force?: boolean) => Promise<unknown>
  /** The transitions that a mentor's coordinators were notified of, in order. */
  readonly notified: (mentor: string) => Promise<ReadonlyArray<string>>
  readonly lettersOf: (eventId: string) => Promise<ReadonlyArray<string>>
  /** Waits until a mentor has so many events, all with that status. Returns the first. */
  readonly settled: (mentor: string, status: string, count?: number) => Promise<Event>
}

export const startWorld = async (options: (triggerUrl: string) => StackOptions = () => ({})): Promise<World> => {
  await using started = new AsyncDisposableStack()
  const worker = await loadWorker()
  const first = await startTrigger({ secretKey })
  await first[Symbol.asyncDispose]()
  const port = Number(new URL(first.url).port)
  const stack = started.use(
    await startStack({
      pacing: "fast",
      migrations: [join(import.meta.dirname, "../supabase/migrations")],
      functionEnv: {
        ...patientEnv,
        ORCHESTRATOR: "trigger.dev",
        TRIGGER_API_URL: first.url,
        TRIGGER_SECRET_KEY: secretKey
      },
      ...options(first.url)
    })
  )
  await unhurried(stack.databaseUrl)
  const database = started.use(openDatabase(stack.databaseUrl))
  await makeQuick(database)
  process.env["SUPABASE_URL"] = stack.apiUrl
  process.env["SUPABASE_SECRET_KEY"] = stack.serviceKey
  configure({ baseURL: first.url, accessToken: secretKey })

  const link: World["link"] = (mentor) =>
    database.rows(
      `with coordinator as (insert into public.coordinators (name) values ('Ana') returning id)
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from coordinator`,
      [mentor]
    )
  const eventsOf = (mentor: string) =>
    database.rows<Event>("select event_id, status, receipt from outbox.events where key = $1 order by version", [
      mentor
    ])
  const kept = started.move()
  return {
    stack,
    database,
    worker,
    port,
    link,
    startTrigger: (more = {}) => startTrigger({ secretKey, port, worker, retryPause: () => 5, ...more }),
    mentorWith: async (coordinators) => {
      const [mentor] = await database.rows<{ id: string }>(
        "insert into public.peer_mentor_profiles (status) values ('active') returning id"
      )
      if (mentor === undefined) throw new Error("no mentor")
      for (let left = coordinators; left > 0; left--) await link(mentor.id)
      return mentor.id
    },
    become: (mentor, status) =>
      database.rows("update public.peer_mentor_profiles set status = $2 where id = $1", [mentor, status]),
    redrive: (eventId, force = false) => database.rows("select outbox.redrive($1, $2)", [eventId, force]),
    notified: async (mentor) => {
      const text = "select transition from public.notifications where mentor_id = $1 order by version"
      return (await database.rows<{ transition: string }>(text, [mentor])).map(({ transition }) => transition)
    },
    lettersOf: async (eventId) => {
      const text = "select last_error from outbox.dead_letters where event_id = $1 order by created_at"
      return (await database.rows<{ last_error: string }>(text, [eventId])).map(({ last_error }) => last_error)
    },
    settled: (mentor, status, count = 1) =>
      eventually(`${count} events ${status}`, async () => {
        const events = await eventsOf(mentor)
        if (events.length === count && events.every((event) => event.status === status)) return events[0]
        throw new Error(JSON.stringify(events))
      }),
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}

/** Runs the reconciler at a minute when it is due, and returns its counts. */
export const reconcile = (trigger: Trigger): Promise<unknown> => {
  const from = trigger.runs.all().length
  trigger.tick(new Date("2026-11-28T07:04:59Z"), new Date("2026-11-28T07:05:00Z"))
  return eventually("runs are reconciled", () => {
    const run = trigger.runs
      .all()
      .slice(from)
      .find(({ task }) => task === "reconcile-runs")
    if (run?.status !== "COMPLETED") throw new Error(JSON.stringify(run))
    return run.output
  })
}
