import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { type Database, failureOf, openReadyDatabase } from "../../support/sql.ts"

describe("a topic of inserted rows whose key is not unique", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows(`
      create table public.letters (id bigint primary key, reader text not null, title text);
      select outbox.watch(
        'letter-sent', 'public.letters', key => 'reader', columns => '{id,title}', operations => '{INSERT}',
        condition => 'new.title <> ''draft'''
      )`)
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const events = () =>
    own.rows<{ key: string; version: number; id: number }>(
      "select key, version::int, (record -> 'id')::int as id from outbox.events order by key, version"
    )

  it("makes an event of each row, in the order of the statement, and counts versions per key", async () => {
    await own.rows("insert into public.letters values (1, 'ada', 'a'), (2, 'bob', 'b'), (3, 'ada', 'c')")
    await own.rows("insert into public.letters values (4, 'ada', 'draft'), (5, 'ada', 'd')")
    assert.deepStrictEqual(await events(), [
      { key: "ada", version: 1, id: 1 },
      { key: "ada", version: 2, id: 3 },
      { key: "ada", version: 3, id: 5 },
      { key: "bob", version: 1, id: 2 }
    ])
  })

  it("sends one reader's letters one by one, and those of two readers at the same time", async () => {
    await own.rows("insert into public.letters values (1, 'ada', 'a'), (2, 'ada', 'b'), (3, 'bob', 'c')")
    await own.rows("update outbox.events set delivery_id = null, leads = null, next_attempt_at = now()")
    const [sent] = await own.rows<{ sent: number }>(
      "select outbox.dispatch(array(select event_id from outbox.events), 'sweep') as sent"
    )
    assert.deepStrictEqual(sent, { sent: 2 })
  })

  it("ignores updates, deletes and earlier rows, and reconciles nothing", async () => {
    await own.rows("insert into public.letters values (1, 'ada', 'a')")
    await own.rows("update public.letters set title = 'z', reader = 'bob'")
    await own.rows("delete from public.letters")
    await own.rows("alter table public.letters disable trigger user")
    await own.rows("insert into public.letters values (2, 'ada', 'b')")
    assert.deepStrictEqual(await own.row("select outbox.reconcile() as queued"), { queued: 0 })
    assert.deepStrictEqual(await events(), [{ key: "ada", version: 1, id: 1 }])
  })

  it("continues the versions after keys were restored without them", async () => {
    await own.rows("insert into public.letters values (1, 'ada', 'a'), (2, 'ada', 'b')")
    await own.rows("delete from outbox.keys")
    await own.rows("insert into public.letters values (3, 'ada', 'c')")
    assert.deepStrictEqual(
      (await events()).map(({ version }) => version),
      [1, 2, 3]
    )
  })

  it("fails like any serializable transaction if another one has written the same key", async () => {
    await using first = await own.connect()
    await using second = await own.connect()
    await first.query("begin isolation level serializable; select 1")
    await second.query("insert into public.letters values (1, 'ada', 'a')")
    const failure = await first.query("insert into public.letters values (2, 'ada', 'b')").then(
      () => undefined,
      (error: { readonly code?: string }) => error.code
    )
    assert.strictEqual(failure, "40001")
    await first.query("rollback")
  })

  it("cannot be latest_only, nor watch updates", async () => {
    const declare = (more: string) =>
      failureOf(
        own.rows(`select outbox.watch('letter-sent', 'public.letters', key => 'reader', columns => '{title}', ${more})`)
      )
    assert.include(await declare("operations => '{INSERT}', latest_only => true"), "latest_only would leave out rows")
    assert.include(await declare("operations => '{INSERT,UPDATE}'"), "may be there twice")
  })

  it("is healthy with its one trigger, and not without it", async () => {
    const problem = "select c.problem from outbox.topics t, outbox.capture_state(t) c where t.topic = 'letter-sent'"
    assert.deepStrictEqual(await own.row(problem), { problem: null })
    await own.rows("drop trigger outbox_letter_sent_insert on public.letters")
    assert.include((await own.row<{ problem: string }>(problem)).problem, "outbox_letter_sent_insert")
  })
})
