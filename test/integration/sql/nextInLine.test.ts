import type { Client } from "pg"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import {
  asClaim,
  blockedSessions,
  claim,
  claimOf,
  complete,
  createMentor,
  type Database,
  emptyNet,
  eventsOf,
  type GivenEvent,
  givenEvent,
  makeDue,
  openReadyDatabase,
  release,
  setStatus,
  settleAll,
  type Settled,
  sweep
} from "../../support/sql.ts"

const completed = (eventId: string, token: unknown) => ({ eventId, token, outcome: "completed", receipt: {} })

const settleIn = async (client: Client, settlements: ReadonlyArray<unknown>, take = 10): Promise<Settled> => {
  const call = "select public.outbox_settle($1, 'pause-status', $2) as answer"
  return (await client.query(call, [JSON.stringify(settlements), take])).rows[0]?.answer
}

const claimIn = (client: Client, ...events: ReadonlyArray<GivenEvent>) =>
  client.query("select public.outbox_claim($1)", [JSON.stringify(events.map(asClaim))])

/** The nth of the events, counted from 1. */
const nth = <Item>(items: ReadonlyArray<Item>, place: number): Item =>
  items[place - 1] ?? assert.fail(`there is no number ${place}`)

describe("the next event in line", () => {
  let own: Database
  beforeEach(async () => {
    own = await openReadyDatabase()
    // Nobody gives up on a slow machine.
    for (const name of ["outbox_claim(jsonb)", "outbox_settle(jsonb, text, integer)"])
      await own.rows(`alter function public.${name} set lock_timeout = '5min'`)
    await own.rows("alter function outbox.lock_line(uuid[]) set lock_timeout = '5min'")
  })
  afterEach(() => own[Symbol.asyncDispose]())

  /** The events of one mentor who changed so many times. The first is claimed, and no request is on its way. */
  const lineOf = async (changes: number) => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, ...Array.from({ length: changes }, (_, index) => (index % 2 ? "active" : "paused")))
    const ids = (await eventsOf(own, mentor)).map(({ event_id }) => event_id)
    const token = await claim(own, nth(ids, 1))
    await emptyNet(own)
    return {
      ids,
      given: await Promise.all(ids.map((id) => givenEvent(own, id))),
      settlement: completed(nth(ids, 1), token)
    }
  }

  const put = (eventId: string, nextAttemptAt: "infinity" | "now") =>
    own.rows(
      "update outbox.events set next_attempt_at = $2, delivery_id = null, leads = null, attempts = 0 where event_id = $1",
      [eventId, nextAttemptAt]
    )

  /** First in line, but neither claimed nor due nor in a request: only time would help. */
  const forgotten = () =>
    own.rows(
      `select q.version from outbox.events q
       where q.status = 'pending' and outbox.is_first_in_line(q.topic, q.key, q.version)
         and q.next_attempt_at > clock_timestamp()
         and not exists (
           select from net.http_request_queue r where position(convert_to(q.event_id::text, 'UTF8') in r.body) > 0
         )`
    )

  it.for([
    { take: 0, claimed: [3] },
    { take: 10, claimed: [3] },
    { take: 10, claimed: [1, 3] }
  ])(
    "is found if a claim of $claimed came too early and waited for the first: settled with take $take",
    async ({ claimed, take }) => {
      const { given, ids, settlement } = await lineOf(3)
      await claimOf(own, nth(given, 2))
      await using first = await own.connect()
      await using second = await own.connect()
      await using early = await own.connect()
      await first.query("begin")
      const { next } = await settleIn(first, [settlement], take)
      await early.query("begin")
      const claiming = claimIn(early, ...claimed.map((place) => nth(given, place)))
      await blockedSessions(own)
      await first.query("commit")
      await claiming
      await emptyNet(own)
      const settling = async () =>
        settleIn(second, [completed(nth(ids, 2), next[0]?.token ?? (await claim(own, nth(ids, 2))))], take)
      const settled = settling()
      await blockedSessions(own)
      await early.query("commit")
      await settled
      assert.deepStrictEqual(await forgotten(), [])
    }
  )

  it("is released if a sweep meanwhile parks a later one", async () => {
    const { ids, settlement } = await lineOf(3)
    await put(nth(ids, 2), "infinity")
    await put(nth(ids, 3), "now")
    await using settler = await own.connect()
    await using sweeper = await own.connect()
    await settler.query("begin")
    await settler.query("select from outbox.events where event_id = $1 for update", [nth(ids, 1)])
    await sweeper.query("begin")
    await sweeper.query("select outbox.sweep()")
    await settleIn(settler, [settlement])
    await settler.query("commit")
    await sweeper.query("commit")
    assert.deepStrictEqual(await forgotten(), [])
  })

  it("is released if a sweep parks a later one while an early claim holds the first", async () => {
    const { given, ids, settlement } = await lineOf(4)
    await put(nth(ids, 2), "infinity")
    await put(nth(ids, 4), "now")
    await using settler = await own.connect()
    await using sweeper = await own.connect()
    await using early = await own.connect()
    await early.query("begin")
    await claimIn(early, nth(given, 3))
    const settled = settleIn(settler, [settlement])
    await blockedSessions(own)
    await sweeper.query("begin")
    await sweeper.query("select outbox.sweep()")
    await early.query("commit")
    await settled
    await sweeper.query("commit")
    assert.deepStrictEqual(await forgotten(), [])
  })

  it("is released if a person cancels the one before it, or looks at it, while the first is settled", async () => {
    for (const [question, parked] of [
      ["select outbox.resolve($1)", 3],
      ["select outbox.redrive($1, false, true)", 2]
    ] as const) {
      const { ids, settlement } = await lineOf(3)
      await put(nth(ids, parked), "infinity")
      await using settler = await own.connect()
      await using person = await own.connect()
      await person.query("begin")
      await person.query(question, [nth(ids, 2)])
      const settled = settleIn(settler, [settlement])
      await blockedSessions(own)
      await person.query("commit")
      await settled
      assert.deepStrictEqual(await forgotten(), [], question)
    }
  })

  it("is dispatched if more keys are settled than events are taken", async () => {
    const lines = [await lineOf(2), await lineOf(2), await lineOf(2)]
    for (const { given } of lines) await claimOf(own, nth(given, 2))
    await emptyNet(own)
    const { next } = await settleAll(
      own,
      lines.map(({ settlement }) => settlement),
      1
    )
    assert.lengthOf(next, 1)
    assert.deepStrictEqual(await forgotten(), [])
  })

  it("is dispatched again if it had failed before, was sent, and came too early because the first was redriven", async () => {
    const { given, ids, settlement } = await lineOf(2)
    await release(own, nth(ids, 1), settlement.token, { kind: "permanent", message: "refused" })
    await release(own, nth(ids, 2), await claim(own, nth(ids, 2)))
    await makeDue(own, nth(ids, 2))
    await sweep(own)
    await own.rows("select outbox.redrive($1)", [nth(ids, 1)])
    await emptyNet(own)
    const token = await claim(own, nth(ids, 1))
    assert.include(await claimOf(own, nth(given, 2)), { outcome: "out_of_order" })
    await complete(own, nth(ids, 1), token)
    assert.deepStrictEqual(await forgotten(), [])
  })

  it("may be cancelled while it is looked for", async () => {
    const { ids, settlement } = await lineOf(3)
    await own.rows("alter function outbox.lock_line(uuid[]) set lock_timeout = '50ms'")
    await using person = await own.connect()
    // The settlement has found the second event, and waits before it locks it.
    await own.rows(`
      create function public.wait() returns void language plpgsql as $$
      begin
        perform pg_advisory_xact_lock(7);
      end
      $$;
      do $$
      begin
        execute replace(pg_get_functiondef('outbox.dispatch_next'::regproc), 'with early', 'perform public.wait(); with early');
      end
      $$
    `)
    await person.query("select pg_advisory_lock(7)")
    const settled = settleAll(own, [settlement], 0)
    await blockedSessions(own)
    await person.query("select outbox.resolve($1)", [nth(ids, 2)])
    await person.query("select pg_advisory_unlock(7)")
    assert.nestedInclude(await settled, { "settled[0].outcome": "completed" })
  })

  it("is claimed once for each key of a topic that sends only the latest, by claims of several keys at once", async () => {
    await own.rows("update outbox.topics set latest_only = true")
    const mentors = await Promise.all(Array.from({ length: 4 }, () => createMentor(own)))
    for (const mentor of mentors) await setStatus(own, mentor, "paused", "active", "paused")
    const events = (await Promise.all(mentors.map((mentor) => eventsOf(own, mentor)))).flat()
    const given = await Promise.all(events.map(({ event_id }) => givenEvent(own, event_id)))
    const batches = Array.from({ length: 12 }, (_, round) => given.filter((_, index) => (index * 7 + round) % 5 < 3))
    const answers = await Promise.all(batches.map((batch) => own.rpc("outbox_claim", { events: batch.map(asClaim) })))
    const claimed = answers.flat().filter(({ outcome }) => outcome === "claimed")
    assert.lengthOf(claimed, 4)
  })
})
