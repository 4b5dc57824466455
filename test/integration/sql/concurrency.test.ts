import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { dumpSchema } from "../../../local/dump.ts"
import {
  type Answer,
  type Database,
  foreignEvent,
  type GivenEvent,
  openDatabase,
  openReadyDatabase,
  pausedEvents,
  settleAll,
  sweep,
  claimMany
} from "../../support/sql.ts"

const shuffled = <Item>(items: ReadonlyArray<Item>, seed: number): Array<Item> =>
  items
    .map((item, index) => ({ item, order: (index * 7919 + seed * 104729) % 1009 }))
    .toSorted((one, other) => one.order - other.order)
    .map(({ item }) => item)

const winnersOf = (answers: ReadonlyArray<ReadonlyArray<Answer>>) =>
  answers
    .flat()
    .filter(({ outcome }) => outcome === "claimed")
    .map((answer) => String(answer["eventId"]))

describe("many at the same time", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const claimAll = (events: ReadonlyArray<GivenEvent>) => claimMany(own, events)

  it.for(["queued", "unknown"])("32 claimers of overlapping batches get each %s event once", async (kind) => {
    const events = kind === "queued" ? await pausedEvents(own, 60) : Array.from({ length: 60 }, () => foreignEvent())
    const answers = await Promise.all(
      Array.from({ length: 32 }, (_, seed) => claimAll(shuffled(events, seed + 1).slice(0, 45)))
    )
    const winners = winnersOf(answers)
    assert.lengthOf(new Set(winners), winners.length)
    const asked = new Set(answers.flat().map((answer) => answer["eventId"]))
    assert.lengthOf(winners, asked.size)
  })

  it("settle overlapping batches once each", async () => {
    const events = await pausedEvents(own, 40)
    const claims = await claimAll(events)
    const settlements = claims.map(({ eventId, token }) => ({ eventId, token, outcome: "completed", receipt: {} }))
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, seed) => settleAll(own, shuffled(settlements, seed + 1)))
    )
    assert.deepStrictEqual(
      new Set(answers.flatMap(({ settled }) => settled).map(({ outcome }) => outcome)),
      new Set(["completed"])
    )
    const { attempts } = await own.row<{ attempts: number }>("select count(*)::int as attempts from outbox.attempts")
    assert.strictEqual(attempts, 40)
  })

  it("notify overlapping batches once each", async () => {
    const events = Array.from({ length: 40 }, (_, index) =>
      foreignEvent(index % 2 === 0 ? {} : { source: "outbox", version: 1 })
    )
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, seed) => own.rpc("pause_status_notify", { events: shuffled(events, seed + 1) }))
    )
    const first = answers.flat().filter((answer) => answer["replayed"] === false)
    assert.lengthOf(first, 40)
  })

  it("two sweepers, ten writers and two handlers end with every change completed in order, without a deadlock", async () => {
    const mentors = (
      await own.rows<{ id: string }>(
        "insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 12) returning id"
      )
    ).map(({ id }) => id)
    const state = { writing: true }
    const flips =
      "update public.peer_mentor_profiles set status = case status when 'active' then 'paused' else 'active' end"
    const writer = async (number: number) => {
      for (let round = 0; round < 6; round += 1) {
        const chosen = shuffled(mentors, number * 6 + round + 1).slice(0, 5)
        // Like every writer of several rows, in one order.
        await own.rows(
          `with chosen as (
             select id from public.peer_mentor_profiles where id = any($1) order by id for no key update
           )
           ${flips} where id in (select id from chosen)`,
          [chosen]
        )
      }
    }
    const unsettled = () =>
      own.rows<{ event: GivenEvent }>(
        `select jsonb_build_object(
           'eventId', event_id, 'mentorId', key,
           'transition', case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end,
           'oldStatus', old_record ->> 'status', 'newStatus', record ->> 'status',
           'occurredAt', outbox.body(q) ->> 'timestamp', 'version', version, 'source', source
         ) as event
         from outbox.events q where status = 'pending' order by random() limit 20`
      )
    const handler = async () => {
      for (;;) {
        const last = !state.writing
        const events = (await unsettled()).map(({ event }) => event)
        if (events.length === 0 && last) return
        const claimed = (await claimAll(events)).filter(({ outcome }) => outcome === "claimed")
        await own.rpc("outbox_settle", {
          settlements: claimed.map(({ eventId, token }) => ({ eventId, token, outcome: "completed", receipt: {} }))
        })
      }
    }
    const sweeper = async () => {
      while (state.writing) await sweep(own)
    }
    const helpers = [sweeper(), sweeper(), handler(), handler()]
    await Promise.all(Array.from({ length: 10 }, (_, number) => writer(number)))
    state.writing = false
    await Promise.all(helpers)
    const disorder = await own.rows(
      `select q.event_id from outbox.events q
       join outbox.events next on next.topic = q.topic and next.key = q.key and next.version = q.version + 1
       where q.status <> 'completed' or next.status <> 'completed' or next.completed_at < q.completed_at
         or next.old_record <> q.record`
    )
    assert.deepStrictEqual(disorder, [])
    const { total } = await own.row<{ total: number }>("select count(*)::int as total from outbox.events")
    assert.strictEqual(total, 10 * 6 * 5)
    const differing = await own.rows(
      `select p.id from public.peer_mentor_profiles p join outbox.keys s on s.key = p.id::text
       where p.status <> s.known ->> 'status'`
    )
    assert.deepStrictEqual(differing, [])
  })

  it("ten concurrent installs have the result of one", async () => {
    await using fresh = await openDatabase({ migrate: false })
    await Promise.all(Array.from({ length: 10 }, () => fresh.migrate()))
    assert.strictEqual(await dumpSchema(fresh.url), await dumpSchema(own.url))
  })
})
