import { readFile } from "node:fs/promises"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  claim,
  createMentor,
  type Database,
  eventOf,
  expireLease,
  type GivenEvent,
  openReadyDatabase,
  pausedEvents,
  release,
  setStatus,
  settle,
  sweep
} from "../../support/sql.ts"

const [minute, hour] = [60, 3600]

describe("an event that may yet succeed", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows("update outbox.settings set max_attempts = 3")
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const one = async (): Promise<GivenEvent> => {
    const [event] = await pausedEvents(own, 1)
    if (event === undefined) throw new Error("nothing was queued")
    return event
  }

  const fail = async (eventId: string): Promise<string> =>
    (await release(own, eventId, await claim(own, eventId))).outcome

  /** The verdicts of so many failures, one after the other. */
  const failTimes = async (times: number, eventId: string): Promise<ReadonlyArray<string>> => {
    const verdicts: Array<string> = []
    for (let time = 0; time < times; time++) verdicts.push(await fail(eventId))
    return verdicts
  }

  const completeAnother = async (): Promise<void> => void (await settle(own, (await one()).eventId))

  /** Lets the time pass for all that was written until now. */
  const later = async (seconds: number) => {
    await own.rows("update outbox.deliveries set dispatched_at = dispatched_at - make_interval(secs => $1)", [seconds])
    await own.rows(
      `update outbox.events
       set first_failed_at = first_failed_at - make_interval(secs => $1),
         last_failed_at = last_failed_at - make_interval(secs => $1),
         last_dispatched_at = last_dispatched_at - make_interval(secs => $1),
         created_at = created_at - make_interval(secs => $1),
         completed_at = completed_at - make_interval(secs => $1)`,
      [seconds]
    )
  }

  const errorOf = async (eventId: string) =>
    (
      await own.row<{ last_error: string }>(
        "select last_error from outbox.dead_letters where event_id = $1 and resolution is null",
        [eventId]
      )
    ).last_error

  const waitOf = async (eventId: string) =>
    (
      await own.row<{ seconds: number }>(
        `select extract(epoch from next_attempt_at - clock_timestamp())::float8 as seconds
         from outbox.events where event_id = $1`,
        [eventId]
      )
    ).seconds

  const redrive = (eventId: string) => own.rows("select outbox.redrive($1)", [eventId])

  describe("and fails while others are completed", () => {
    it("is given up once its attempts are used up, and its dead letter says so", async () => {
      const { eventId } = await one()
      for (const verdict of ["released", "released", "dead"]) {
        await completeAnother()
        assert.strictEqual(await fail(eventId), verdict)
      }
      assert.strictEqual(
        await errorOf(eventId),
        "transient: refused; given up, because before 3 of its 3 failures others were completed"
      )
    })

    it("is not blamed for failures between which nothing was completed", async () => {
      const { eventId } = await one()
      await fail(eventId)
      await completeAnother()
      assert.deepStrictEqual(await failTimes(10, eventId), Array<string>(10).fill("released"))
      await completeAnother()
      assert.strictEqual(await fail(eventId), "released")
      await completeAnother()
      assert.strictEqual(await fail(eventId), "dead")
      assert.include(await errorOf(eventId), "before 3 of its 13 failures")
    })

    it("is not blamed for failures between which only another topic's events were completed", async () => {
      await own.rows("select outbox.watch('names', 'public.peer_mentor_profiles', columns => '{full_name}')")
      const mentor = await createMentor(own)
      await own.rows("update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor])
      const { event_id } = await own.row<{ event_id: string }>(
        "select event_id from outbox.events where topic = 'names'"
      )
      const ending = JSON.stringify([{ event_id, outcome: "transient", message: "status 503" }])
      for (let time = 0; time < 4; time++) {
        await completeAnother()
        await own.rows("select * from outbox.end_attempts($1::jsonb)", [ending])
      }
      const event = await own.row("select status, failures, own_failures from outbox.events where event_id = $1", [
        event_id
      ])
      assert.deepStrictEqual(event, { status: "pending", failures: 4, own_failures: 0 })
    })

    it("is not blamed because others were completed before it was sent", async () => {
      await completeAnother()
      const { eventId } = await one()
      await fail(eventId)
      for (const verdict of ["released", "released", "dead"]) {
        await completeAnother()
        assert.strictEqual(await fail(eventId), verdict)
      }
    })

    it("has as many attempts again when it is redriven", async () => {
      const { eventId } = await one()
      for (const round of [1, 2]) {
        for (const verdict of ["released", "released", "dead"]) {
          await completeAnother()
          assert.strictEqual(await fail(eventId), verdict, `round ${round}`)
        }
        await redrive(eventId)
      }
    })
  })

  describe("and fails while nothing is completed", () => {
    it("outlasts an hour in which nothing works, and is then notified without help", async () => {
      await own.rows("update outbox.settings set max_attempts = 10")
      const events = await pausedEvents(own, 3)
      for (let time = 0; time < 20; time++) {
        for (const { eventId } of events) assert.strictEqual(await fail(eventId), "released")
        await later(3 * minute)
      }
      for (const { eventId } of events) assert.include(await settle(own, eventId), { outcome: "completed" })
    })

    it("opens an alert long before it is given up", async () => {
      const { eventId } = await one()
      await later(6 * minute)
      await fail(eventId)
      await own.rows("select outbox.watch()")
      const alerts = await own.rows("select kind from outbox.alerts where closed_at is null")
      assert.deepStrictEqual(alerts, [{ kind: "oldest_unnotified" }])
    })

    it("is given up once it has failed for as long as the settings allow, and its dead letter says so", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(24 * hour - minute)
      assert.strictEqual(await fail(eventId), "released")
      await later(minute)
      assert.strictEqual(await fail(eventId), "dead")
      assert.match(await errorOf(eventId), /given up, because it failed 5 times in 86[4-9]\d\d seconds$/)
    })

    it("is not given up before its attempts are used up, however old it is", async () => {
      const { eventId } = await one()
      await later(48 * hour)
      assert.strictEqual(await fail(eventId), "released")
      await later(48 * hour)
      assert.strictEqual(await fail(eventId), "released")
      assert.strictEqual(await fail(eventId), "dead")
    })

    it("has as much time again when it is redriven", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(24 * hour)
      assert.strictEqual(await fail(eventId), "dead")
      await redrive(eventId)
      assert.deepStrictEqual(await failTimes(4, eventId), Array<string>(4).fill("released"))
    })

    it("has only its attempts if the settings allow no time", async () => {
      await own.rows("update outbox.settings set retry_for_seconds = 0")
      const { eventId } = await one()
      assert.deepStrictEqual(await failTimes(3, eventId), ["released", "released", "dead"])
    })
  })

  describe("and holds up the mentor's next one", () => {
    /** A mentor whose first event has used up its attempts, and how the second is queued. */
    const failing = async () => {
      const mentor = await createMentor(own)
      await setStatus(own, mentor, "paused")
      const { event_id } = await eventOf(own, mentor)
      await failTimes(3, event_id)
      return { mentor, eventId: event_id, changeAgain: () => setStatus(own, mentor, "active") }
    }

    it("is given up once the next one has waited for as long as the settings allow, and that one is sent", async () => {
      const { mentor, eventId, changeAgain } = await failing()
      await changeAgain()
      await later(4 * hour - minute)
      assert.strictEqual(await fail(eventId), "released")
      await later(minute)
      assert.strictEqual(await fail(eventId), "dead")
      assert.match(await errorOf(eventId), /given up, because it has held up version 2 for 14[4-9]\d\d seconds$/)
      assert.include(await eventOf(own, mentor, 2), { status: "pending", attempts: 1 })
    })

    it("is not given up for a next one that just arrived", async () => {
      const { eventId, changeAgain } = await failing()
      await later(4 * hour)
      await changeAgain()
      assert.strictEqual(await fail(eventId), "released")
    })

    it("is not given up for a next one that waited for another event before", async () => {
      const mentor = await createMentor(own)
      await setStatus(own, mentor, "paused", "active", "paused")
      await later(4 * hour)
      await settle(own, (await eventOf(own, mentor)).event_id)
      const { event_id } = await eventOf(own, mentor, 2)
      assert.deepStrictEqual(await failTimes(4, event_id), Array<string>(4).fill("released"))
    })

    it("leaves the next one its own attempts and time", async () => {
      const { mentor, eventId, changeAgain } = await failing()
      await changeAgain()
      await later(4 * hour)
      assert.strictEqual(await fail(eventId), "dead")
      const next = await eventOf(own, mentor, 2)
      assert.deepStrictEqual(await failTimes(4, next.event_id), Array<string>(4).fill("released"))
    })
  })

  describe("waits", () => {
    it("no longer than the cap for each of its attempts", async () => {
      const { eventId } = await one()
      await fail(eventId)
      await later(24 * hour)
      await fail(eventId)
      assert.isAtMost(await waitOf(eventId), 4)
    })

    it.for([
      ["a quarter of the time that it has failed, or up to half less", 2 * hour, 15 * minute, 30 * minute],
      ["an hour at most", 23 * hour, hour / 2, hour]
    ] as const)("once they are used up: %s", async ([, failed, atLeast, atMost]) => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(failed)
      await fail(eventId)
      const seconds = await waitOf(eventId)
      assert.isAtLeast(seconds, atLeast - 5 * minute)
      assert.isAtMost(seconds, atMost + 10)
    })

    it("likewise if its claimants die one after another", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(2 * hour)
      await claim(own, eventId)
      await expireLease(own, eventId)
      await sweep(own)
      assert.isAtLeast(await waitOf(eventId), 10 * minute)
    })

    it("likewise if it is not acknowledged", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await own.rows("update outbox.events set next_attempt_at = now()")
      assert.strictEqual(await sweep(own), 1)
      await later(2 * hour)
      await own.rows("truncate net.http_request_queue")
      await own.rows("update outbox.events set next_attempt_at = now()")
      await sweep(own)
      assert.isAtLeast(await waitOf(eventId), 10 * minute)
    })

    it("likewise if a direct call is not answered", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(2 * hour)
      await own.rows(
        `select outbox.end_direct(jsonb_build_array(jsonb_build_object(
           'event_id', event_id, 'claim_token', claim_token, 'sent_at', clock_timestamp(),
           'outcome', 'unacknowledged', 'message', 'refused'
         )))
         from outbox.events`
      )
      assert.isAtLeast(await waitOf(eventId), 10 * minute)
    })

    it("no longer once a person retries everything, as the runbook says", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(23 * hour)
      await fail(eventId)
      const page = await readFile(new URL("../../../docs/runbook.md", import.meta.url), "utf8")
      const [, statement] = /have everything tried at once.*?```sql\n(.*?)```/s.exec(page) ?? []
      await own.rows(statement ?? assert.fail("the runbook does not say"))
      assert.strictEqual(await sweep(own), 1)
    })

    it("as long as it was asked to while it is parked", async () => {
      const { eventId } = await one()
      await failTimes(3, eventId)
      await later(2 * hour)
      await release(own, eventId, await claim(own, eventId), { kind: "parked", message: "the circuit is open" })
      assert.isAtMost(await waitOf(eventId), 2)
    })
  })
})
