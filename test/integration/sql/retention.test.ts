import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { bury, type Database, openReadyDatabase, pausedEvents, settle } from "../../support/sql.ts"

describe("retention", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const forget = async (): Promise<number> =>
    (await own.row<{ deleted: number }>("select pause_status.forget_settled() as deleted")).deleted

  const left = async () =>
    own.row<Record<string, number>>(
      `select
         (select count(*)::int from pause_status.webhook_queue) as events,
         (select count(*)::int from pause_status.dead_letter_queue) as letters,
         (select count(*)::int from pause_status.webhook_attempts) as attempts,
         (select count(*)::int from pause_status.orchestrations) as receipts`
    )

  /** One event of each kind: completed, failed, failed and resolved, pending. */
  const everyKind = async () => {
    const events = await pausedEvents(own, 4)
    const [completed = "", failed = "", resolved = ""] = events.map(({ eventId }) => eventId)
    await own.rpc("pause_status_notify", { events })
    await settle(own, completed)
    await bury(own, failed)
    await bury(own, resolved)
    await own.rows("select pause_status.resolve($1)", [resolved])
  }

  const age = async (days: number) => {
    await own.rows(
      `update pause_status.webhook_queue
       set completed_at = completed_at - make_interval(days => $1), created_at = created_at - make_interval(days => $1)`,
      [days]
    )
    await own.rows("update pause_status.dead_letter_queue set resolved_at = resolved_at - make_interval(days => $1)", [
      days
    ])
    await own.rows("update pause_status.webhook_attempts set ended_at = ended_at - make_interval(days => $1)", [days])
    await own.rows("update pause_status.orchestrations set created_at = created_at - make_interval(days => $1)", [days])
  }

  it("deletes nothing that is younger than the settings say", async () => {
    await everyKind()
    await age(29)
    const before = await left()
    assert.strictEqual(await forget(), 0)
    assert.deepStrictEqual(await left(), before)
  })

  it("deletes what was completed or resolved, with its history, and keeps what is open with all of its own", async () => {
    await everyKind()
    await age(31)
    assert.isAbove(await forget(), 0)
    assert.deepStrictEqual(await left(), { events: 2, letters: 1, attempts: 1, receipts: 2 })
    assert.strictEqual(await forget(), 0)
  })

  it("deletes no more at once than the settings allow", async () => {
    await own.rows("update pause_status.settings set retention_batch_size = 2, retention_days = 1")
    for (const { eventId } of await pausedEvents(own, 3)) await settle(own, eventId)
    await age(2)
    await forget()
    assert.deepInclude(await left(), { events: 1, attempts: 1 })
    await forget()
    assert.deepInclude(await left(), { events: 0, attempts: 0 })
  })

  it("deletes the old runs of our own jobs and of nobody else's", async () => {
    await using admin = await own.connect("admin")
    await admin.query("select cron.schedule('somebody-elses', '* * * * *', 'select 1')")
    await admin.query(
      `insert into cron.job_run_details (jobid, username, status, end_time)
       select jobid, 'postgres', 'succeeded', now() - interval '40 days' from cron.job`
    )
    await forget()
    const { rows } = await admin.query(
      "select jobname from cron.job_run_details join cron.job using (jobid) order by jobname"
    )
    assert.deepStrictEqual(rows, [{ jobname: "somebody-elses" }])
  })
})
