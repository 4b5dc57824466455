import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parseSchedule } from "../../local/cron/schedule.ts"
import type { Stack } from "../../local/stack.ts"
import { bareStack, openSession, type Session } from "../support/bareStack.ts"
import { eventually } from "../support/eventually.ts"

let stack: Stack
let session: Session

beforeAll(async () => {
  stack = await bareStack()
  session = await openSession(stack.databaseUrl)
  await session.client.query("create extension if not exists pg_cron with schema pg_catalog")
  await session.client.query("create table public.runs (who text, kept text, at timestamptz default clock_timestamp())")
})

afterAll(async () => {
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

const schedule = (name: string, when: string, command: string) =>
  session.value("select cron.schedule($1, $2, $3)", [name, when, command])

const unschedule = (name: string) => session.value("select cron.unschedule($1::text)", [name])

const runsOf = (id: unknown) =>
  session.rows<{ status: string; return_message: string | null; username: string; job_pid: number }>(
    "select status, return_message, username, job_pid from cron.job_run_details where jobid = $1 order by runid",
    [id]
  )

const finishedRun = async (id: unknown) => {
  await eventually(async () => (await runsOf(id))[0]?.status).toMatch(/succeeded|failed/)
  return (await runsOf(id))[0]
}

describe("the SQL API", () => {
  it("replaces a job of the same name and user, and keeps its number", async () => {
    const first = await schedule("upsert", "0 0 1 1 *", "select 1")
    expect(await schedule("upsert", "59 seconds", "select 2")).toBe(first)
    expect(
      await session.rows("select schedule, command, username, active from cron.job where jobid = $1", [first])
    ).toEqual([{ schedule: "59 seconds", command: "select 2", username: "postgres", active: true }])
  })

  it("schedules without a name, and removes by number and by name", async () => {
    const id = await session.value("select cron.schedule('0 0 1 1 *', 'select 1')")
    expect(await session.value("select cron.unschedule($1::bigint)", [id])).toBe(true)
    await schedule("named", "0 0 1 1 *", "select 1")
    expect(await unschedule("named")).toBe(true)
    await expect(unschedule("named")).rejects.toThrow("could not find valid entry for job 'named'")
  })

  it("changes what cron.alter_job names", async () => {
    const id = await schedule("alter", "0 0 1 1 *", "select 1")
    await session.value("select cron.alter_job($1, active := false)", [id])
    expect(await session.rows("select schedule, active from cron.job where jobid = $1", [id])).toEqual([
      { schedule: "0 0 1 1 *", active: false }
    ])
    await expect(session.value("select cron.alter_job($1)", [id])).rejects.toThrow("no updates specified")
  })

  it("lets role postgres read cron.job but not write it", async () => {
    await expect(session.client.query("delete from cron.job")).rejects.toMatchObject({ code: "42501" })
    await expect(session.client.query("update cron.job set active = false")).rejects.toMatchObject({ code: "42501" })
    await expect(
      session.client.query(
        "select cron.schedule_in_database('x', '1 second', 'select 1', 'postgres', 'supabase_admin')"
      )
    ).rejects.toThrow("must be superuser")
  })

  it("lets nobody else in", async () => {
    await using other = await openSession(stack.databaseUrl)
    await other.client.query("set role service_role")
    await expect(other.client.query("select * from cron.job")).rejects.toMatchObject({ code: "42501" })
  })

  const good = ["* * * * *", "*/5 0-3 1,15 jan mon-fri", "5 4 * * 7", "1 second", "59 SECONDS", " 0  12 * * sun "]
  const bad = [
    "60 seconds",
    "0 seconds",
    "* * * *",
    "99 * * * *",
    "* * 0 * *",
    "5-1 * * * *",
    "*/0 * * * *",
    "",
    "hourly"
  ]

  it.each(good)("accepts the schedule '%s', and so does the ticker", async (text) => {
    await session.value("select cron._require_schedule($1)", [text])
    expect(parseSchedule(text, new Date())).toBeDefined()
  })

  it.each(bad)("refuses the schedule '%s', and so does the ticker", async (text) => {
    await expect(session.value("select cron._require_schedule($1)", [text])).rejects.toMatchObject({
      code: "22023",
      message: `invalid schedule: ${text}`
    })
    expect(parseSchedule(text, new Date())).toBeUndefined()
  })
})

describe("the ticker", () => {
  it("runs a job as its owner with the owner's settings, and keeps the details", async () => {
    await session.client.query("alter role postgres set work_mem = '7MB'")
    const id = await schedule(
      "run",
      "1 second",
      "insert into runs (who, kept) select session_user, current_setting('work_mem')"
    )
    expect(await finishedRun(id)).toMatchObject({
      status: "succeeded",
      return_message: "INSERT 1",
      username: "postgres"
    })
    await unschedule("run")
    expect(await session.rows("select distinct who, kept from public.runs")).toEqual([{ who: "postgres", kept: "7MB" }])
  })

  it("records the error of a job that failed, and undoes all of it", async () => {
    const id = await schedule("fail", "1 second", "insert into public.runs (who) values ('undone'); select 1 / 0")
    expect(await finishedRun(id)).toMatchObject({ status: "failed", return_message: "ERROR:  division by zero" })
    await unschedule("fail")
    expect(await session.rows("select 1 from public.runs where who = 'undone'")).toEqual([])
  })

  it("never runs a job twice at once", async () => {
    await session.client.query("select pg_advisory_lock(1)")
    const id = await schedule("slow", "1 second", "select pg_advisory_lock(1), pg_advisory_unlock(1)")
    const other = await schedule("beside", "1 second", "select 1")
    // While the first run waits, another job's runs show that ticks go by.
    await eventually(() => runsOf(other)).toHaveLength(3)
    await eventually(() => runsOf(id)).toMatchObject([{ status: "running" }])
    await session.client.query("select pg_advisory_unlock(1)")
    expect(await finishedRun(id)).toMatchObject({ status: "succeeded", return_message: "1 row" })
    await unschedule("slow")
    await unschedule("beside")
  })

  it("does not run a job that is not active", async () => {
    await session.client.query("begin")
    const id = await schedule("inactive", "1 second", "select 1")
    await session.value("select cron.alter_job($1, active := false)", [id])
    await session.client.query("commit")
    const other = await schedule("active", "1 second", "select 1")
    await eventually(() => runsOf(other)).toHaveLength(2)
    expect(await runsOf(id)).toEqual([])
    await unschedule("active")
  })

  it("continues after it was killed, and marks the run it left behind as failed", async () => {
    await session.client.query("select pg_advisory_lock(2)")
    const id = await schedule("left", "1 second", "select pg_advisory_lock(2), pg_advisory_unlock(2)")
    await eventually(() => runsOf(id)).toMatchObject([{ status: "running" }])
    await stack.services.cron.kill("SIGKILL")
    await eventually(() => runsOf(id)).toMatchObject([
      { status: "failed", return_message: "server restarted" },
      { status: "running" }
    ])
    await session.client.query("select pg_advisory_unlock(2)")
    await unschedule("left")
  })
})

const at = (text: string) => new Date(`2026-01-01T${text}Z`)

describe("schedules", () => {
  const start = at("00:00:30")

  it("counts seconds from the moment the job became known", () => {
    const every = parseSchedule("10 seconds", start)
    expect(every?.isDue(at("00:00:39"))).toBe(false)
    expect(every?.isDue(at("00:00:40"))).toBe(true)
    expect(every?.isDue(at("00:00:41"))).toBe(false)
    expect(every?.isDue(at("00:00:50"))).toBe(true)
  })

  it("reads five fields in UTC, and runs once for all missed times", () => {
    const hourly = parseSchedule("0 * * * *", start)
    expect(hourly?.isDue(at("00:59:59"))).toBe(false)
    expect(hourly?.isDue(at("05:30:00"))).toBe(true)
    expect(hourly?.isDue(at("05:30:01"))).toBe(false)
    expect(hourly?.isDue(at("06:00:00"))).toBe(true)
  })
})
