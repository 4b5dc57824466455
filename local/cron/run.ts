import { type Client, DatabaseError, escapeIdentifier, type QueryResult } from "pg"
import { connect } from "../postgres/connect.ts"
import { messageOf } from "../StackError.ts"

export interface Job {
  readonly jobid: string
  readonly schedule: string
  readonly command: string
  readonly database: string
  readonly username: string
}

const BEGIN_RUN = `
  insert into cron.job_run_details (jobid, job_pid, database, username, command, status, start_time)
  values ($1, $2, $3, $4, $5, 'running', clock_timestamp())
  returning runid`

const END_RUN = `
  update cron.job_run_details set status = $2, return_message = $3, end_time = clock_timestamp() where runid = $1`

// A role's own settings (its search_path above all) apply at login only, and roles like service_role cannot log in.
const ROLE_SETTINGS = `
  select set_config(split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1), false)
  from pg_catalog.pg_db_role_setting as stored
  join pg_catalog.pg_roles as role on role.oid = stored.setrole and role.rolname = session_user,
  unnest(stored.setconfig) as setting
  where stored.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
  order by stored.setdatabase`

/** Runs one job once, as its owner, on its own connection and in its own transaction, and records the run. */
export const runJob = async (scheduler: Client, databaseUrl: string, job: Job): Promise<void> => {
  let session: Client | undefined
  let runId: string | undefined
  try {
    session = await sessionOf(databaseUrl, job)
    const { rows } = await session.query<{ pid: number }>("select pg_backend_pid() as pid")
    runId = await beginRun(scheduler, job, rows[0]?.pid ?? null)
    const result: QueryResult | ReadonlyArray<QueryResult> = await session.query(job.command)
    await scheduler.query(END_RUN, [runId, "succeeded", describeResult(result)])
  } catch (cause) {
    runId ??= await beginRun(scheduler, job, null)
    await scheduler.query(END_RUN, [runId, "failed", describeError(cause)])
  } finally {
    await session?.end().catch(() => {})
  }
}

const sessionOf = async (databaseUrl: string, job: Job): Promise<Client> => {
  const url = new URL(databaseUrl)
  url.pathname = `/${encodeURIComponent(job.database)}`
  const session = await connect(url.href, "pg_cron")
  try {
    await session.query(`set session authorization ${escapeIdentifier(job.username)}`)
    await session.query(ROLE_SETTINGS)
    return session
  } catch (cause) {
    await session.end().catch(() => {})
    throw cause
  }
}

const beginRun = async (scheduler: Client, job: Job, pid: number | null): Promise<string> => {
  const values = [job.jobid, pid, job.database, job.username, job.command]
  const { rows } = await scheduler.query<{ runid: string }>(BEGIN_RUN, values)
  return rows[0]?.runid ?? ""
}

const describeResult = (result: QueryResult | ReadonlyArray<QueryResult>): string => {
  const last = "command" in result ? result : result.at(-1)
  if (last === undefined) return ""
  const rows = last.rowCount ?? 0
  if (last.command === "SELECT") return rows === 1 ? "1 row" : `${rows} rows`
  return last.rowCount === null ? last.command : `${last.command} ${rows}`
}

const describeError = (cause: unknown): string =>
  cause instanceof DatabaseError ? `${cause.severity ?? "ERROR"}:  ${cause.message}` : messageOf(cause)
