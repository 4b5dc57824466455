// What does it cost the writer to capture every status change?
import { PgBoss } from "pg-boss"
import { runMigrations } from "graphile-worker"
import type { Client } from "pg"
import { type Ask, type Budget, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import {
  createMentors,
  type Database,
  flip,
  type Flipped,
  MOST_SENT_BY_THE_WRITER,
  startDatabase,
  takeSent
} from "./world/database.ts"

/**
 * What the writer's session did before. *used*: it made the same change many times, so its plans are kept. *new*:
 * nothing, so it has to plan everything. *vacuumed*: like used, but no rows of earlier changes are left. A vacuum makes
 * it plan again, which is negligible for many rows.
 */
type Session = "used" | "new" | "vacuumed"

interface Case {
  readonly size: number
  readonly rounds: number
  readonly session: Session
}

const CASES: Readonly<Record<"full" | "quick", ReadonlyArray<Case>>> = {
  full: [
    { size: 1, rounds: 100, session: "used" },
    { size: 1, rounds: 30, session: "new" },
    { size: 100, rounds: 30, session: "vacuumed" },
    { size: 1_000, rounds: 10, session: "vacuumed" },
    { size: 10_000, rounds: 5, session: "vacuumed" }
  ],
  quick: [
    { size: 1, rounds: 20, session: "used" },
    { size: 1, rounds: 5, session: "new" },
    { size: 100, rounds: 5, session: "vacuumed" },
    { size: 1_000, rounds: 2, session: "vacuumed" }
  ]
}
const MOST_MENTORS = 10_000

interface Way {
  readonly name: string
  readonly table: string
  /** The table in which each change leaves a row. */
  readonly written?: string
  /** The body of the trigger on a copy of the table. Ours has its own triggers. */
  readonly body?: string
  /** With more rows, one change would take longer than all the others together. */
  readonly mostRows?: number
}

const WEBHOOK = `jsonb_build_object(
  'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema, 'record', to_jsonb(new), 'old_record', to_jsonb(old)
)`

const NONE: Way = { name: "no trigger", table: "public.bench_none" }
const AUDIT: Way = {
  name: "audit trigger, a row per change",
  table: "public.bench_audit",
  written: "public.audit_log",
  body: `insert into public.audit_log (table_name, record_id, old_record, new_record)
    values (tg_table_name, new.id, to_jsonb(old), to_jsonb(new))`
}
const OURS: Way = {
  name: "ours: outbox, versions, signed requests",
  table: "public.peer_mentor_profiles",
  written: "outbox.events"
}
const HTTP: Way = {
  name: "net.http_post per row",
  table: "public.bench_http",
  written: "net.http_request_queue",
  body: `perform net.http_post(
    url := 'http://127.0.0.1:9/', body := ${WEBHOOK}, headers := '{"Content-Type": "application/json"}')`
}
const WAYS: ReadonlyArray<Way> = [
  NONE,
  AUDIT,
  OURS,
  HTTP,
  {
    name: "pg-boss: a job per row",
    table: "public.bench_boss",
    written: "pgboss.job",
    body: `insert into pgboss.job (name, data) values ('pause', ${WEBHOOK})`
  },
  {
    name: "graphile-worker: add_job per row",
    table: "public.bench_graphile",
    written: "graphile_worker._private_jobs",
    mostRows: 100,
    body: `perform graphile_worker.add_job('pause', ${WEBHOOK}::json)`
  }
]

const createTable = async (client: Client, { body, table }: Way): Promise<void> => {
  const name = table.replace("public.", "")
  await client.query(`
    create table ${table} (like public.peer_mentor_profiles including all);
    insert into ${table} select * from public.peer_mentor_profiles`)
  if (body === undefined) return
  await client.query(`
    create function public.${name}() returns trigger language plpgsql as $$ begin ${body}; return null; end $$;
    create trigger ${name} after update on ${table}
      for each row when (old.status is distinct from new.status) execute function public.${name}()`)
}

const prepare = async (
  database: Database
): Promise<{ readonly client: Client; readonly ids: ReadonlyArray<string> }> => {
  const boss = new PgBoss({ connectionString: database.urlOf("postgres"), schedule: false, supervise: false })
  await boss.start()
  await boss.createQueue("pause")
  await boss.stop()
  await runMigrations({ connectionString: database.urlOf("postgres") })
  const client = await database.open()
  const ids = await createMentors(client, MOST_MENTORS)
  await client.query(`
    create table public.audit_log (
      id bigint generated always as identity primary key, table_name text not null, record_id uuid not null,
      old_record jsonb, new_record jsonb, changed_at timestamptz not null default now()
    )`)
  for (const way of WAYS) if (way !== OURS) await createTable(client, way)
  return { client, ids }
}

const change = async (client: Client, way: Way, mentorIds: ReadonlyArray<string>, session: Session) => {
  const flipped = await flip(client, way.table, mentorIds)
  // A time counts only if the work was done.
  const sent = Math.min(mentorIds.length, MOST_SENT_BY_THE_WRITER)
  if (way === OURS) expectEqual("events sent by our trigger", (await takeSent(client)).length, sent)
  if (way.written !== undefined) {
    const { rows } = await client.query(`select count(*)::int as count from ${way.written}`)
    expectEqual(`rows written by: ${way.name}`, rows, [{ count: mentorIds.length }])
    await client.query(`delete from ${way.written}`)
    // The pages stay, as in a table in use. A truncated table, and each of its indexes, would have to grow again.
    if (session === "vacuumed") await client.query(`vacuum (truncate false) ${way.written}`)
  }
  if (session === "vacuumed") {
    // Otherwise, a round would pay for the dead rows of an earlier one.
    await client.query(`vacuum ${way.table}`)
    if (way === OURS) await client.query("vacuum outbox.keys")
  }
  return flipped
}

const changeInNewSession = async (database: Database, way: Way, mentorIds: ReadonlyArray<string>) => {
  const client = await database.open()
  try {
    return await change(client, way, mentorIds, "new")
  } finally {
    await client.end()
  }
}

const summary = ({ session, size }: Case, { name }: Way, samples: ReadonlyArray<Flipped>) => {
  const both = samples.map(({ commitMs, updateMs }) => commitMs + updateMs)
  return {
    size,
    session,
    way: name,
    updateMs: rounded(median(samples.map(({ updateMs }) => updateMs))),
    commitMs: rounded(median(samples.map(({ commitMs }) => commitMs))),
    ms: rounded(median(both)),
    msOfEachRound: both.map(rounded)
  }
}

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const work = (size: number): string =>
  `UPDATE and COMMIT of ${size.toLocaleString("en")} ${size === 1 ? "row" : "rows"}`

/** A goal. We do not reach it today. */
const MOST_TIMES_AUDIT = 2.5

const budgetsOf = (figures: Figures): ReadonlyArray<Budget> => {
  const sizes = [...new Set(figures.map((row) => row.size))]
  const largest = Math.max(...sizes)
  const ratioTo = (other: Way, size: number): number => {
    // For one row, the first case: a used session.
    const of = (way: Way) => figures.find((row) => row.size === size && row.way === way.name)?.ms ?? Number.NaN
    return of(OURS) / of(other)
  }
  return [
    ...sizes.map((size) => ({
      what: `${work(size)} ÷ audit trigger`,
      found: ratioTo(AUDIT, size),
      atMost: MOST_TIMES_AUDIT,
      unit: "×" as const
    })),
    ...[largest, 1].map((size) => ({
      what: `${work(size)} ÷ net.http_post per row`,
      found: ratioTo(HTTP, size),
      atMost: 1,
      unit: "×" as const
    }))
  ]
}

export const ask: Ask = async ({ quick, say }) => {
  await using database = await startDatabase("postgres")
  const { client, ids } = await prepare(database)
  const figures: Array<Figures[number]> = []
  for (const asked of quick ? CASES.quick : CASES.full) {
    const { rounds, session, size } = asked
    const ways = WAYS.filter(({ mostRows = Infinity }) => size <= mostRows)
    const mentorIds = ids.slice(0, size)
    await client.query("vacuum analyze")
    for (const way of ways) await change(client, way, mentorIds, session)
    const samples = await interleaved(ways, rounds, (way) =>
      session === "new" ? changeInNewSession(database, way, mentorIds) : change(client, way, mentorIds, session)
    )
    for (const [way, some] of samples) figures.push(summary(asked, way, some))
    say(`${size} rows, ${session} session: measured`)
  }
  return {
    budgets: budgetsOf(figures),
    figures,
    tables: [
      {
        title: "An UPDATE and its COMMIT, medians",
        head: [
          "rows",
          "session",
          "what the trigger does",
          "× audit",
          "UPDATE × audit",
          "UPDATE",
          "COMMIT",
          "added per row"
        ],
        rows: figures.map((row) => {
          const to = ({ name }: Way) =>
            figures.find((one) => one.way === name && one.size === row.size && one.session === row.session) ?? row
          return [
            row.size.toLocaleString("en"),
            row.session,
            row.way,
            ratio(row.ms, to(AUDIT).ms),
            ratio(row.updateMs, to(AUDIT).updateMs),
            `${figure(row.updateMs)} ms`,
            `${figure(row.commitMs)} ms`,
            `${figure(((row.ms - to(NONE).ms) * 1_000) / row.size)} µs`
          ]
        })
      }
    ]
  }
}
