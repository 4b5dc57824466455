import type { Client } from "pg"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { type Database, failureOf, openReadyDatabase, sweep } from "../../support/sql.ts"

const PAUSE = "update public.peer_mentor_profiles set status = 'paused' where id = $1"
const FLIP =
  "update public.peer_mentor_profiles set status = case status when 'active' then 'paused' else 'active' end where id = $1"
// The new id is the neighbour of the old one in every index.
const RENAME = `update public.peer_mentor_profiles set status = 'paused',
  id = overlay(id::text placing case right(id::text, 1) when '0' then '1' else '0' end from 36)::uuid where id = $1`

describe("writers in their own transactions", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const eventCount = async (): Promise<number> =>
    (await own.row<{ count: number }>("select count(*)::int as count from outbox.events")).count

  /**
   * Mentors whose rows and index entries share no page. Postgres notes what a serializable transaction reads by pages,
   * and a table that it reads from end to end as a whole: in a small or unanalyzed table two writers conflict without
   * any trigger.
   */
  const farApart = async (count: number, status: string): Promise<ReadonlyArray<string>> => {
    await using admin = await own.connect("admin")
    await admin.query("alter table public.peer_mentor_profiles set (fillfactor = 50)")
    await admin.query(
      `insert into public.peer_mentor_profiles (id, status)
       select lpad(to_hex(n * 16), 32, '0')::uuid, $1 from generate_series(1, 40000) n`,
      [status]
    )
    await admin.query("analyze public.peer_mentor_profiles")
    const { rows } = await admin.query<{ id: string }>(
      "select lpad(to_hex((40000 / $1 * (n - 1) + 1) * 16), 32, '0')::uuid as id from generate_series(1, $1::int) n",
      [count]
    )
    return rows.map(({ id }) => id)
  }

  const serializable = (client: Client) => client.query("set default_transaction_isolation = serializable")

  const interleave = async (mentors: ReadonlyArray<string>, statement: string) => {
    await using one = await own.connect()
    await using other = await own.connect()
    await Promise.all([one, other].map(serializable))
    const failures: Array<string> = []
    const note = async (work: Promise<unknown>) => {
      const failure = await failureOf(work)
      if (!failure.startsWith("no failure")) failures.push(failure)
    }
    for (let first = 0; first < mentors.length; first += 4) {
      await Promise.all([one.query("begin"), other.query("begin")])
      // Two statements each: what the first one reads, the other transaction's second one may write.
      for (const [place, client] of [one, other, one, other].entries()) {
        await note(client.query(statement, [mentors[first + place]]))
      }
      await note(one.query("commit"))
      await note(other.query("commit"))
    }
    return failures
  }

  it.for([
    ["a pause", "active", PAUSE, 240],
    ["a new id and a pause", "active", RENAME, 240],
    ["a new id of a mentor with a status of the project's own", "archived", RENAME, 0]
  ] as const)(
    "are serializable side by side, 60 pairs of different mentors: %s",
    async ([, status, statement, events]) => {
      const mentors = await farApart(240, status)
      // Of an empty table a read would be noted as a whole.
      await own.rows("truncate outbox.keys")
      assert.deepStrictEqual(await interleave(mentors, statement), [])
      assert.strictEqual(await eventCount(), events)
      assert.deepStrictEqual(await own.rows("select * from outbox.rechecks"), [])
    }
  )

  it("conflict equally without our triggers: the table must be large and analyzed", async () => {
    const mentors = await farApart(240, "active")
    await own.rows("alter table public.peer_mentor_profiles disable trigger user")
    assert.deepStrictEqual(await interleave(mentors, PAUSE), [])
  })

  it("are serializable when eight run freely, each with its own mentors", async () => {
    const mentors = await farApart(160, "active")
    const failures = await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        await using client = await own.connect()
        await serializable(client)
        let failed = 0
        for (const mentor of mentors.slice(writer * 20, writer * 20 + 20)) {
          for (const statement of [FLIP, FLIP]) {
            failed += (await failureOf(client.query(statement, [mentor]))).startsWith("no failure") ? 0 : 1
          }
        }
        return failed
      })
    )
    assert.deepStrictEqual(failures, Array(8).fill(0))
    assert.strictEqual(await eventCount(), 320)
  })

  const posted = async (): Promise<number> =>
    (
      await own.row<{ events: number }>(
        `select coalesce(sum(case jsonb_typeof(b.body) when 'array' then jsonb_array_length(b.body) else 1 end), 0)::int
           as events
         from (select convert_from(r.body, 'UTF8')::jsonb as body from net.http_request_queue r) as b`
      )
    ).events

  it("wait for no lock on pg_net's queue, which any role may hold, and lose nothing", async () => {
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 150)")
    await using holder = await own.connect()
    await holder.query("set role authenticated")
    await holder.query("begin")
    await holder.query("lock table net.http_request_queue, net._http_response in access exclusive mode")

    await using writer = await own.connect()
    // Reached only by who waits for the holder.
    await writer.query("set statement_timeout = '10s'")
    await writer.query("update public.peer_mentor_profiles set status = 'paused'")
    for (const job of ["sweep", "send_directly", "reconcile", "watch"]) {
      await writer.query(`select outbox.${job}()`)
    }
    assert.strictEqual(await eventCount(), 150)
    const unexplained = await own.rows("select 1 from outbox.events where status <> 'pending' or last_error is null")
    assert.deepStrictEqual(unexplained, [])

    await holder.query("rollback")
    assert.strictEqual(await posted(), 0)
    await own.rows("update outbox.events set next_attempt_at = now() - interval '1 second'")
    assert.strictEqual(await sweep(own), 150)
    assert.strictEqual(await posted(), 150)
  })

  it("find no sequence in the outbox: logical replication does not copy their positions", async () => {
    const sequences = await own.rows(
      "select relname from pg_class where relkind = 'S' and relnamespace = 'outbox'::regnamespace"
    )
    assert.deepStrictEqual(sequences, [])
  })
})
