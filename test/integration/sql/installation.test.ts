import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { eventually } from "../../support/eventually.ts"
import { createMentor, type Database, openReadyDatabase, setStatus, sweep } from "../../support/sql.ts"

interface Job {
  readonly name: string
  readonly scheduled: boolean
  readonly problem?: string
}

interface Topic {
  readonly topic: string
  readonly attached: boolean
  readonly enabled: boolean
  readonly problem?: string
}

interface Health {
  readonly topics: ReadonlyArray<Topic>
  readonly jobs: ReadonlyArray<Job>
}

describe("the outbox's triggers and jobs", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const health = () => own.call<Health>("outbox_health", {})

  const problems = async () => (await health()).jobs.flatMap(({ problem }) => problem ?? [])

  const openAlerts = async () => {
    await own.rows("select outbox.watch()")
    return own.rows<{ kind: string; detail: string }>(
      "select kind, detail from outbox.alerts where closed_at is null order by kind"
    )
  }

  const kinds = async () => (await openAlerts()).map(({ kind }) => kind)

  it("are in place", async () => {
    assert.deepStrictEqual(await kinds(), [])
    assert.deepStrictEqual(await problems(), [])
    assert.deepStrictEqual((await health()).topics, [{ topic: "pause-status", attached: true, enabled: true }])
  })

  const table = "public.peer_mentor_profiles"

  it.for<readonly [what: string, statement: string, attached: boolean, enabled: boolean, problem: RegExp]>([
    [
      "is disabled",
      `alter table ${table} disable trigger outbox_pause_status_update`,
      true,
      false,
      /enable trigger.*update$/
    ],
    [
      "fires on replicas only",
      `alter table ${table} enable replica trigger outbox_pause_status_key`,
      true,
      false,
      /key$/
    ],
    [
      "is missing",
      `drop trigger outbox_pause_status_key on ${table}`,
      false,
      false,
      /lacks the original outbox_pause_status_key:/
    ],
    [
      "runs another function",
      `create or replace trigger outbox_pause_status_key before update on ${table} for each row
       execute function suppress_redundant_updates_trigger()`,
      false,
      false,
      /lacks the original outbox_pause_status_key:/
    ],
    [
      "stayed on the table that was there before",
      `alter table ${table} rename to old_profiles; create table ${table} (id uuid primary key, status text)`,
      false,
      false,
      /lacks the original outbox_pause_status_insert, outbox_pause_status_key, outbox_pause_status_update:/
    ],
    ["went with its table", `drop table ${table}`, false, false, /there is no such table/],
    [
      "finds no column status",
      `alter table ${table} rename column status to state`,
      true,
      true,
      /there is no column status/
    ],
    ["finds no column id", `alter table ${table} rename column id to mentor_id`, false, false, /there is no column id/],
    [
      "has a condition",
      `create or replace trigger outbox_pause_status_update after update on ${table}
       referencing old table as old_rows new table as new_rows
       for each statement when (false) execute function outbox.pause_status_changed()`,
      false,
      false,
      /lacks the original outbox_pause_status_update:/
    ],
    [
      "has another condition",
      `create or replace trigger outbox_pause_status_key after update on ${table} for each row
       when (old.id is distinct from new.id and false) execute function outbox.pause_status_changed()`,
      false,
      false,
      /lacks the original outbox_pause_status_key:/
    ],
    [
      "fires at another event",
      `create or replace trigger outbox_pause_status_insert after delete on ${table}
       for each statement execute function outbox.pause_status_changed()`,
      false,
      false,
      /lacks the original outbox_pause_status_insert:/
    ],
    [
      "fires for one column only",
      `create or replace trigger outbox_pause_status_key after update of status on ${table} for each row
       when (old.id is distinct from new.id) execute function outbox.pause_status_changed()`,
      false,
      false,
      /lacks the original outbox_pause_status_key:/
    ],
    [
      "has no part in sending, and the one that has is missing",
      "drop trigger events_dispatch_at_commit on outbox.events",
      true,
      true,
      /^outbox.events lacks the original events_dispatch_at_commit:/
    ],
    [
      "has no part in sending, and the one that has is disabled",
      "alter table outbox.events disable trigger events_dispatch_at_commit",
      true,
      true,
      /^alter table outbox.events enable trigger, .*events_dispatch_at_commit$/
    ],
    [
      "is passed by in a table that inherits",
      `create table public.seniors () inherits (${table})`,
      true,
      true,
      /not captured: alter table public.seniors no inherit public.peer_mentor_profiles$/
    ],
    [
      "is passed by in a table that is inherited",
      `create table public.people (id uuid not null); alter table ${table} inherit public.people`,
      true,
      true,
      /not captured: alter table public.peer_mentor_profiles no inherit public.people$/
    ],
    [
      "is passed by in a table that the profiles are a partition of",
      `create table public.people (like ${table}) partition by hash (id);
       alter table public.people attach partition ${table} for values with (modulus 1, remainder 0)`,
      true,
      true,
      /not captured: alter table public.people detach partition public.peer_mentor_profiles$/
    ]
  ])("are not if a capture trigger %s", async ([, statement, attached, enabled, problem]) => {
    await own.rows(statement)
    const { topics } = await health()
    assert.lengthOf(topics, 1)
    assert.include(topics[0], { topic: "pause-status", attached, enabled })
    assert.match(topics[0]?.problem ?? "", problem)
    const [alert, ...more] = await openAlerts()
    assert.strictEqual(alert?.kind, "capture_missing")
    assert.match(alert?.detail ?? "", problem)
    assert.lengthOf(more, 0)
  })

  it("are again once the missing one is back", async () => {
    await own.rows(`alter table ${table} disable trigger user`)
    assert.deepStrictEqual(await kinds(), ["capture_missing"])
    await own.rows(`alter table ${table} enable trigger user`)
    assert.deepStrictEqual(await kinds(), [])
    await own.rows(`
      drop trigger outbox_pause_status_update on ${table};
      drop trigger events_dispatch_at_commit on outbox.events;
      create or replace trigger outbox_pause_status_key after insert on ${table}
        for each row when (false) execute function outbox.pause_status_changed()`)
    assert.deepStrictEqual(await kinds(), ["capture_missing"])
    await own.migrate()
    assert.deepStrictEqual(await kinds(), [])
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    assert.deepInclude(await own.row("select count(*)::int as events from outbox.events"), { events: 1 })
  })

  it("are not if a job is missing or inactive", async () => {
    await own.rows("select cron.unschedule('outbox-reconcile')")
    await own.rows("select cron.alter_job(jobid, active := false) from cron.job where jobname = 'outbox-sweep'")
    const wrong = (await health()).jobs.filter(({ problem }) => problem !== undefined)
    assert.deepStrictEqual(
      wrong.map(({ name, scheduled }) => [name, scheduled]),
      [
        ["reconcile", false],
        ["sweep", false]
      ]
    )
    assert.match(wrong[0]?.problem ?? "", /^outbox-reconcile is not scheduled/)
    assert.match(wrong[1]?.problem ?? "", /^outbox-sweep is inactive: select cron\.alter_job/)
    const [alert, ...more] = await openAlerts()
    assert.include(alert, {
      kind: "job_missing",
      detail: wrong
        .map(({ problem }) => problem)
        .toSorted()
        .join("; ")
    })
    assert.lengthOf(more, 0)
  })

  it("are not if pg_cron is missing", async () => {
    await using admin = await own.connect("admin")
    await admin.query("drop extension pg_cron cascade")
    const { jobs } = await health()
    assert.deepStrictEqual(
      jobs.map(({ problem, scheduled }) => [scheduled, problem?.split(":")[0]]),
      jobs.map(() => [false, "pg_cron cannot be asked"])
    )
    const [alert, ...more] = await openAlerts()
    assert.strictEqual(alert?.kind, "job_missing")
    assert.lengthOf(more, 0)
  })

  it("are not if a job fails, and its error is named until it succeeds", async () => {
    await own.rows("alter table outbox.rechecks rename column created_at to made_at")
    await sweep(own)
    const [alert, ...more] = await openAlerts()
    assert.strictEqual(alert?.kind, "job_failing")
    assert.lengthOf(more, 0)
    assert.match(alert?.detail ?? "", /^outbox-sweep: .*recheck_keys.*created_at/)
    assert.deepStrictEqual(await problems(), [alert?.detail])
    await own.rows("alter table outbox.rechecks rename column made_at to created_at")
    await sweep(own)
    assert.deepStrictEqual(await problems(), [])
    assert.deepStrictEqual(await kinds(), ["job_failing"])
    await own.rows("update outbox.alerts set last_seen_at = last_seen_at - interval '5 minutes'")
    assert.deepStrictEqual(await kinds(), [])
  })

  it("are not in error because of an error in the future, after the clock was set back", async () => {
    await own.rows("select outbox.beat('reconcile', 'it failed')")
    await own.rows("update outbox.heartbeats set failed_at = failed_at + interval '1 day' where job = 'reconcile'")
    await own.rows("select outbox.beat('reconcile')")
    assert.deepStrictEqual(await problems(), [])
  })

  it("are not if a job is silent for longer than its schedule explains", async () => {
    // The shortest limit, because silence counts from the start of the server on.
    await own.rows("update outbox.settings set alert_sweep_silent_seconds = 1")
    const silence = async (ago: string) => {
      await own.rows("update outbox.heartbeats set last_at = now() - $1::interval", [ago])
      return (await health()).jobs.flatMap(({ name, problem }) => (problem === undefined ? [] : name))
    }
    await eventually(() => silence("1 day")).toHaveLength(6)
    assert.deepStrictEqual(await silence("4 seconds"), ["alert", "direct", "sweep", "watch"])
    assert.deepStrictEqual(await silence("7 seconds"), ["alert", "direct", "reconcile", "sweep", "watch"])
    assert.deepStrictEqual(await silence("-1 day"), ["alert", "direct", "reconcile", "retention", "sweep", "watch"])
    const alerts = await openAlerts()
    assert.deepStrictEqual(
      alerts.map(({ kind }) => kind),
      ["job_failing", "sweep_silent"]
    )
    assert.match(alerts[0]?.detail ?? "", /outbox-retention ran to its end at .* and not since/)
  })

  it("are not if a job has never run", async () => {
    await own.rows("delete from outbox.heartbeats where job = 'retention'")
    assert.deepStrictEqual(await problems(), ["outbox-retention has never run to its end"])
  })

  it("need neither triggers nor reconciliation if only stock webhooks report changes", async () => {
    await own.rows("select outbox.feed_by('pause-status', 'webhook')")
    await own.rows("select cron.unschedule('outbox-reconcile')")
    assert.deepStrictEqual(await kinds(), [])
    const { topics, jobs } = await health()
    assert.deepStrictEqual(topics, [{ topic: "pause-status", attached: true, enabled: false }])
    assert.notInclude(
      jobs.map(({ name }) => name),
      "reconcile"
    )
    assert.deepStrictEqual(await problems(), [])
    await own.rows("select outbox.feed_by('pause-status', 'outbox')")
    assert.deepStrictEqual(await kinds(), ["job_missing"])
  })

  it("are checked even if no alert can open, because all jobs and the settings are missing", async () => {
    await own.rows("select cron.unschedule(jobname) from cron.job")
    await own.rows("delete from outbox.settings")
    assert.lengthOf(await problems(), 6)
    assert.deepStrictEqual(await own.rows("select from outbox.alerts"), [])
  })
})
