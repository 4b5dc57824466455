// The stand-in for pg_cron's scheduler; a separate process, so that it can be killed like the real one.
import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { connect } from "../postgres/connect.ts"
import { codeOf, messageOf } from "../StackError.ts"
import { type Job, runJob } from "./run.ts"
import { parseSchedule, type Schedule } from "./schedule.ts"

const databaseUrl = process.env["CRON_DATABASE_URL"] ?? ""
const TICK_MILLISECONDS = 1_000
const RECONNECT_MILLISECONDS = 200
const NO_TABLE = "42P01"
const NO_SCHEMA = "3F000"

interface Known {
  readonly text: string
  readonly schedule: Schedule | undefined
}

const known = new Map<string, Known>()
const running = new Map<string, Promise<void>>()
const stopping = new AbortController()
process.on("SIGTERM", () => stopping.abort())

const pause = (milliseconds: number): Promise<void> =>
  wait(milliseconds, undefined, { signal: stopping.signal }).catch(() => {})

const jobs = async (client: Client): Promise<ReadonlyArray<Job>> => {
  try {
    const { rows } = await client.query<Job>(
      "select jobid, schedule, command, database, username from cron.job where active order by jobid"
    )
    return rows
  } catch (cause) {
    const code = codeOf(cause)
    if (code === NO_TABLE || code === NO_SCHEMA) return []
    throw cause
  }
}

// A run that the last scheduler left behind never ends by itself.
const failAbandonedRuns = async (client: Client): Promise<void> => {
  const exists = await client.query("select to_regclass('cron.job_run_details') is not null as yes")
  if (exists.rows[0]?.yes !== true) return
  await client.query(
    "update cron.job_run_details set status = 'failed', return_message = 'server restarted' " +
      "where status in ('starting', 'running')"
  )
}

const tick = (client: Client, current: ReadonlyArray<Job>): void => {
  const now = new Date()
  for (const jobid of known.keys()) {
    if (!current.some((job) => job.jobid === jobid)) known.delete(jobid)
  }
  for (const job of current) {
    let entry = known.get(job.jobid)
    if (entry?.text !== job.schedule) {
      entry = { text: job.schedule, schedule: parseSchedule(job.schedule, now) }
      known.set(job.jobid, entry)
      if (entry.schedule === undefined) console.error(`job ${job.jobid} has an invalid schedule: ${job.schedule}`)
    }
    // Asked before the job is due: a run that takes longer than the interval is followed by another as soon as it ends.
    if (running.has(job.jobid) || entry.schedule?.isDue(now) !== true) continue
    running.set(
      job.jobid,
      runJob(client, databaseUrl, job)
        .catch((cause: unknown) => console.error(`job ${job.jobid}: ${messageOf(cause)}`))
        .finally(() => running.delete(job.jobid))
    )
  }
}

const serve = async (): Promise<void> => {
  const client = await connect(databaseUrl, "pg_cron scheduler")
  try {
    await failAbandonedRuns(client)
    console.log("ready")
    while (!stopping.signal.aborted) {
      const started = performance.now()
      tick(client, await jobs(client))
      await pause(Math.max(0, TICK_MILLISECONDS - (performance.now() - started)))
    }
    await Promise.all(running.values())
  } finally {
    await client.end().catch(() => {})
  }
}

let lastMessage = ""
while (!stopping.signal.aborted) {
  try {
    await serve()
  } catch (cause) {
    const message = messageOf(cause)
    if (message !== lastMessage) console.error(message)
    lastMessage = message
    await pause(RECONNECT_MILLISECONDS)
  }
}
process.exit(0)
