import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { bury, type Database, foreignEvent, openReadyDatabase, pausedEvents, settle } from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

describe("retention", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const forget = async (): Promise<number> =>
    (await own.row<{ deleted: number }>("select outbox.forget_settled() as deleted")).deleted

  const left = async () =>
    own.row<Record<string, number>>(
      `select
         (select count(*)::int from outbox.events) as events,
         (select count(*)::int from outbox.dead_letters) as letters,
         (select count(*)::int from outbox.attempts) as attempts,
         (select count(*)::int from outbox.receipts) as receipts`
    )

  /** One event of each kind: completed, failed, failed and resolved, pending. */
  const everyKind = async () => {
    const events = await pausedEvents(own, 4)
    const [completed = "", failed = "", resolved = ""] = events.map(({ eventId }) => eventId)
    await own.rpc("pause_status_notify", { events })
    await settle(own, completed)
    await bury(own, failed)
    await bury(own, resolved)
    await own.rows("select outbox.resolve($1)", [resolved])
  }

  const age = async (days: number) => {
    await own.rows(
      `update outbox.events
       set completed_at = completed_at - make_interval(days => $1), created_at = created_at - make_interval(days => $1)`,
      [days]
    )
    await own.rows("update outbox.dead_letters set resolved_at = resolved_at - make_interval(days => $1)", [days])
    await own.rows("update outbox.attempts set ended_at = ended_at - make_interval(days => $1)", [days])
    await own.rows("update outbox.receipts set created_at = created_at - make_interval(days => $1)", [days])
  }

  it("deletes nothing that is younger than the settings say", async () => {
    await everyKind()
    await age(29)
    const before = await left()
    assert.strictEqual(await forget(), 0)
    assert.deepStrictEqual(await left(), before)
  })

  it("deletes completed and resolved events with their history, and keeps open ones with theirs", async () => {
    await everyKind()
    await age(31)
    assert.isAbove(await forget(), 0)
    assert.deepStrictEqual(await left(), { events: 2, letters: 1, attempts: 1, receipts: 2 })
    assert.strictEqual(await forget(), 0)
  })

  it("deletes no more at once than the settings allow", async () => {
    await own.rows("update outbox.settings set retention_batch_size = 2, retention_days = 1")
    for (const { eventId } of await pausedEvents(own, 3)) await settle(own, eventId)
    await age(2)
    await forget()
    assert.deepInclude(await left(), { events: 1, attempts: 1 })
    await forget()
    assert.deepInclude(await left(), { events: 0, attempts: 0 })
  })

  const seed = (table: string, columns: string, rows: string) =>
    own.rows(`insert into ${table} (${columns}) select ${rows}`)

  const lastError = async (): Promise<string | null> =>
    (
      await own.row<{ error: string | null }>(
        "select last_error as error from outbox.heartbeats where job = 'retention'"
      )
    ).error

  it("deletes alerts by closing time, and no open one", async () => {
    const age = (days: number) => `now() - interval '${days} days'`
    await seed(
      "outbox.alerts",
      "kind, opened_at, closed_at, value, threshold, detail",
      `'unauthorized', ${age(50)}, closed_at, 1, 1, name
       from (values ('open', null), ('closed long ago', ${age(31)}), ('closed lately', ${age(29)})) v (name, closed_at)`
    )
    assert.strictEqual(await forget(), 1)
    assert.deepStrictEqual(await own.rows("select detail from outbox.alerts order by 1"), [
      { detail: "closed lately" },
      { detail: "open" }
    ])
  })

  it("keeps an event that reached nobody until a person has handled it", async () => {
    const unreached = await inState["completed, and reached nobody"](own)
    await inState["acknowledged: it reached nobody"](own)
    await age(31)
    await forget()
    assert.deepStrictEqual(await own.rows("select event_id from outbox.events"), [{ event_id: unreached }])
  })

  it("deletes requests after a day, except those that the sweep still needs", async () => {
    const [underWay] = await pausedEvents(own, 1)
    await seed("outbox.deliveries", "id, request_id", "gen_random_uuid(), n from generate_series(1, 3) n")
    await seed("outbox.deliveries", "id, error", "gen_random_uuid(), 'refused'")
    await own.rows("update outbox.deliveries set dispatched_at = now() - interval '25 hours'")
    await seed("outbox.deliveries", "id, request_id", "gen_random_uuid(), 4")
    assert.strictEqual(await forget(), 3)
    const kept = await own.rows<{ id: string; why: string }>(
      "select id, coalesce(error, request_id::text) as why from outbox.deliveries"
    )
    assert.lengthOf(kept, 3)
    assert.include(
      kept.map(({ id }) => id),
      underWay?.eventId
    )
    assert.includeMembers(
      kept.map(({ why }) => why),
      ["refused", "4"]
    )
  })

  it("deletes a mentor's known state once profile and events are gone, unless all profiles are gone", async () => {
    const mentors = async () =>
      (
        await own.rows<{ id: string }>(
          `select key as id from outbox.keys union
           select key from outbox.handled_keys`
        )
      ).map(({ id }) => id)
    const [settled = foreignEvent(), pending = foreignEvent()] = await pausedEvents(own, 2)
    await own.rpc("pause_status_notify", { events: [settled] })
    await settle(own, settled.eventId)
    const [stays] = await own.rows<{ id: string }>(
      "insert into public.peer_mentor_profiles default values returning id"
    )
    await own.rows("delete from public.peer_mentor_profiles where id <> $1", [stays?.id])
    await forget()
    assert.lengthOf(await mentors(), 3)

    await own.call("outbox_erase", { topic: "pause-status", event_id: settled.eventId })
    await own.rpc("pause_status_notify", { events: [settled] })
    assert.include(await mentors(), settled.mentorId)
    assert.strictEqual(await forget(), 1)
    assert.sameMembers(await mentors(), [stays?.id ?? "", pending.mentorId])

    await own.rows("truncate public.peer_mentor_profiles cascade")
    await own.rows("delete from outbox.events")
    assert.strictEqual(await forget(), 0)
    assert.lengthOf(await mentors(), 2)
  })

  it("skips a row that cannot be deleted, and says which", async () => {
    const bad = await inState.completed(own)
    const old = await pausedEvents(own, 3)
    for (const { eventId } of old) await settle(own, eventId)
    await age(31)
    await own.rows(
      `create function public.keep() returns trigger language plpgsql as
         $$begin if old.event_id = '${bad}' then raise exception 'not this one'; end if; return old; end$$;
       create trigger keep before delete on outbox.events for each row execute function public.keep()`
    )
    await own.rows("update outbox.settings set retention_batch_size = 1")
    await own.rows("update outbox.events set completed_at = completed_at - interval '1 day' where event_id = $1", [bad])
    for (const _ of old) await forget()
    assert.deepStrictEqual(await own.rows("select event_id from outbox.events"), [{ event_id: bad }])
    assert.strictEqual(await lastError(), `outbox.events ${bad}: not this one`)
  })

  const broken = [
    ["a column has another name", "alter table outbox.events rename completed_at to done_at"],
    ["a value cannot be read", "alter table outbox.events alter completed_at type text"],
    ["a table is gone", "drop table outbox.receipts"],
    ["the profiles are gone", "drop table public.peer_mentor_profiles cascade"],
    ["the settings are gone", "delete from outbox.settings"]
  ] as const
  for (const [name, statement] of broken) {
    it(`continues with its other parts if ${name}`, async () => {
      await seed("outbox.erased", "event_id, fingerprint", "gen_random_uuid(), outbox.conceal('x')")
      await own.rows("update outbox.erased set erased_at = erased_at - interval '31 days'")
      await own.rows(statement)
      assert.strictEqual(await forget(), 1)
      if (!name.includes("settings")) assert.isString(await lastError())
    })
  }

  it("continues with its other parts if a table is locked, and does not wait for it", async () => {
    await using admin = await own.connect("admin")
    await seed("outbox.erased", "event_id, fingerprint", "gen_random_uuid(), outbox.conceal('x')")
    await own.rows("update outbox.erased set erased_at = erased_at - interval '31 days'")
    await everyKind()
    await age(31)
    await own.rows("update outbox.settings set retention_days = 32")
    await own.rows("update outbox.attempts set ended_at = ended_at - interval '2 days'")
    await own.rows("update outbox.erased set erased_at = erased_at - interval '2 days'")
    await admin.query(
      `begin; lock table outbox.attempts in share mode;
       lock table cron.job_run_details in access exclusive mode`
    )
    assert.strictEqual(await forget(), 1)
    assert.include(await lastError(), "outbox.attempts: canceling statement due to lock timeout")
    await admin.query("rollback")
  })

  describe("of what pg_cron keeps", () => {
    const run = async (name: string, ended: string, started = ended, job = "outbox-sweep", at = "0") => {
      await using admin = await own.connect("admin")
      await admin.query(
        `insert into cron.job_run_details (jobid, runid, status, return_message, start_time, end_time)
         select jobid, nextval('cron.runid_seq'), 'succeeded', $1, now() - $3::interval, now() - $2::interval
         from cron.job, generate_series(0, $5::int) where jobname = $4`,
        [name, ended === "" ? null : ended, started === "" ? null : started, job, at]
      )
    }

    const runs = async () => {
      await using admin = await own.connect("admin")
      const { rows } = await admin.query<{ name: string; count: number }>(
        "select return_message as name, count(*)::int from cron.job_run_details group by 1 order by 1"
      )
      return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
    }

    it("deletes runs of our jobs after a week, including those cut off by a crash, and no other job's", async () => {
      await using admin = await own.connect("admin")
      await admin.query("select cron.schedule('somebody-elses', '* * * * *', 'select 1')")
      await run("old", "8 days")
      await run("never ended", "", "8 days")
      await run("never began", "", "")
      await run("last old one", "8 days", "8 days", "outbox-watch")
      await run("somebody else's", "40 days", "40 days", "somebody-elses")
      await run("young", "6 days")
      await run("running", "", "1 minute")
      await run("starting", "", "")
      await forget()
      assert.deepStrictEqual(await runs(), { "somebody else's": 1, young: 1, running: 1, starting: 1 })
    })

    it("deletes runs of a job that was rescheduled", async () => {
      await run("old", "8 days")
      await using admin = await own.connect("admin")
      await admin.query(
        "update cron.job_run_details set jobid = jobid + 1000, command = (select command from cron.job j where j.jobid = job_run_details.jobid)"
      )
      await forget()
      assert.deepStrictEqual(await runs(), {})
    })

    it("continues until it has caught up, for at most twenty batches", async () => {
      await own.rows("update outbox.settings set retention_batch_size = 2")
      await run("old", "8 days", "8 days", "outbox-sweep", "49")
      await forget()
      assert.deepStrictEqual(await runs(), { old: 10 })
      await forget()
      assert.deepStrictEqual(await runs(), {})
    })
  })
})
