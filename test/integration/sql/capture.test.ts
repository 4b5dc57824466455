import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  failureOf,
  eventsOf,
  openDatabase,
  openReadyDatabase,
  setStatus
} from "../../support/sql.ts"

describe("capturing transitions", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const summaryOf = async (mentorId: string) =>
    (await eventsOf(database, mentorId)).map((event) => `${event.version} ${event.transition}`)

  it("queues one event per change, with versions 1, 2, 3", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active", "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE", "2 RESUME", "3 PAUSE"])
  })

  it("counts each mentor separately if one statement changes many", async () => {
    const mentors = [await createMentor(database), await createMentor(database)]
    await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any($1)", [mentors])
    for (const mentor of mentors) assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE"])
  })

  it("leaves nothing after a rollback, not even a used version", async () => {
    const mentor = await createMentor(database)
    await using client = await database.connect()
    await client.query("begin")
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    await client.query("rollback")
    assert.deepStrictEqual(await summaryOf(mentor), [])
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE"])
  })

  it("queues nothing for a new mentor, an unchanged status, or one of the project's own words", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "active")
    await database.rows("update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor])
    await setStatus(database, mentor, "archived", "Active")
    assert.deepStrictEqual(await summaryOf(mentor), [])
  })

  it("compares with the status last queued, whatever came in between", async () => {
    const [pausedLater, backAgain] = [await createMentor(database), await createMentor(database)]
    await setStatus(database, pausedLater, "suspended", "paused")
    assert.deepStrictEqual(await summaryOf(pausedLater), ["1 PAUSE"])
    await setStatus(database, backAgain, "paused", "suspended", "paused", "suspended", "active", "active")
    assert.deepStrictEqual(await summaryOf(backAgain), ["1 PAUSE", "2 RESUME"])
    const [event] = await database.rows("select record, old_record from outbox.events where key = $1", [pausedLater])
    assert.deepStrictEqual(event, {
      record: { id: pausedLater, status: "paused" },
      old_record: { id: pausedLater, status: "active" }
    })
  })

  it("queues nothing for a mentor whose first status is one of the project's own words", async () => {
    const mentor = await createMentor(database, "applicant")
    await setStatus(database, mentor, "active")
    assert.deepStrictEqual(await summaryOf(mentor), [])
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE"])
  })

  it("captures an update that also changes the mentor's id, under the new id", async () => {
    const [mentor, swapped] = [await createMentor(database), await createMentor(database, "paused")]
    const [newId, quiet] = [randomUUID(), randomUUID()]
    const move = "update public.peer_mentor_profiles set id = $2, status = $3 where id = $1"
    await database.rows(move, [mentor, newId, "paused"])
    assert.deepStrictEqual(await summaryOf(mentor), [])
    assert.deepStrictEqual(await summaryOf(newId), ["1 PAUSE"])
    await database.rows(move, [swapped, quiet, "paused"])
    assert.deepStrictEqual(await summaryOf(quiet), [])
    await setStatus(database, quiet, "active")
    assert.deepStrictEqual(await summaryOf(quiet), ["1 RESUME"])
    assert.strictEqual((await database.row<{ n: number }>("select outbox.reconcile() as n")).n, 0)
  })

  it("knows a mentor's last status if the id changes while the status is one of the project's own words", async () => {
    const mentor = await createMentor(database)
    const newId = randomUUID()
    await setStatus(database, mentor, "suspended")
    await database.rows("update public.peer_mentor_profiles set id = $2, status = 'paused' where id = $1", [
      mentor,
      newId
    ])
    assert.deepStrictEqual(await summaryOf(newId), ["1 PAUSE"])
  })

  it("takes the new status of a mentor who was deleted and created again", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await database.rows("delete from public.peer_mentor_profiles where id = $1", [mentor])
    await database.rows("insert into public.peer_mentor_profiles (id) values ($1)", [mentor])
    assert.strictEqual((await database.row<{ n: number }>("select outbox.reconcile() as n")).n, 0)
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE"])
  })

  it("continues the queue's versions if the known states were restored from an older backup", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active")
    await database.rows(
      "update outbox.keys set version = 0, known = jsonb_build_object('status', 'active') where key = $1",
      [mentor]
    )
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE", "2 RESUME", "3 PAUSE"])
  })

  it("continues the queue's versions if the known states are lost", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active")
    await database.rows("delete from outbox.keys where key = $1", [mentor])
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE", "2 RESUME", "3 PAUSE"])
  })

  it("captures a status that only a BEFORE trigger changed", async () => {
    await using own = await openDatabase()
    await own.rows(`
      create function public.pause_the_unnamed() returns trigger language plpgsql as $$
      begin
        new.status := case when new.full_name is null then 'paused' else new.status end;
        return new;
      end $$;
      create trigger pause_the_unnamed before update on public.peer_mentor_profiles
        for each row execute function public.pause_the_unnamed()`)
    const mentor = await createMentor(own)
    await own.rows("update public.peer_mentor_profiles set full_name = null where id = $1", [mentor])
    assert.deepStrictEqual(
      (await eventsOf(own, mentor)).map((event) => event.transition),
      ["PAUSE"]
    )
  })

  it("captures what MERGE and INSERT … ON CONFLICT change, next to what they insert", async () => {
    const [merged, upserted] = [await createMentor(database), await createMentor(database)]
    const added = [randomUUID(), randomUUID()]
    await database.rows(
      `merge into public.peer_mentor_profiles p using unnest($1::uuid[]) as given (id) on p.id = given.id
       when matched then update set status = 'paused'
       when not matched then insert (id, status) values (given.id, 'paused')`,
      [[merged, added[0]]]
    )
    await database.rows(
      `insert into public.peer_mentor_profiles (id, status) select unnest($1::uuid[]), 'paused'
       on conflict (id) do update set status = excluded.status`,
      [[upserted, added[1]]]
    )
    assert.deepStrictEqual(await Promise.all([merged, upserted].map(summaryOf)), [["1 PAUSE"], ["1 PAUSE"]])
    assert.deepStrictEqual(await Promise.all(added.map(summaryOf)), [[], []])
    const states = await database.rows("select known from outbox.keys where key = any($1)", [added])
    assert.deepStrictEqual(states, [{ known: { status: "paused" } }, { known: { status: "paused" } }])
  })

  it("lets a status become an enum, and captures it then", async () => {
    await using own = await openReadyDatabase()
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    await own.rows(`
      create type public.mentor_status as enum ('active', 'paused');
      alter table public.peer_mentor_profiles
        alter column status drop default,
        alter column status type public.mentor_status using status::public.mentor_status`)
    await setStatus(own, mentor, "active")
    assert.deepStrictEqual(
      (await eventsOf(own, mentor)).map((event) => event.transition),
      ["PAUSE", "RESUME"]
    )
  })

  it("gives concurrent writers of one mentor different versions in the order of their commits", async () => {
    const mentor = await createMentor(database)
    const flip =
      "update public.peer_mentor_profiles set status = case status when 'active' then 'paused' else 'active' end where id = $1"
    await Promise.all(Array.from({ length: 20 }, () => database.rows(flip, [mentor])))
    const expected = Array.from({ length: 20 }, (_, index) => `${index + 1} ${index % 2 === 0 ? "PAUSE" : "RESUME"}`)
    assert.deepStrictEqual(await summaryOf(mentor), expected)
  })

  it("takes the status that a mentor starts with as the known state", async () => {
    const mentor = await createMentor(database, "paused")
    const state = await database.row("select version::int, known from outbox.keys where key = $1", [mentor])
    assert.deepStrictEqual(state, { version: 0, known: { status: "paused" } })
  })

  it("never assigns a version twice, even if a mentor is deleted and created again", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await database.rows("delete from public.peer_mentor_profiles where id = $1", [mentor])
    await database.rows("insert into public.peer_mentor_profiles (id) values ($1)", [mentor])
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await summaryOf(mentor), ["1 PAUSE", "2 PAUSE"])
  })

  it("sends ids, statuses and a UTC time in the webhook's shape, whatever the session's formats, and no profile data", async () => {
    const mentor = await createMentor(database)
    await using client = await database.connect()
    await client.query("set timezone = 'Asia/Kathmandu'; set datestyle = 'German'")
    await client.query("update public.peer_mentor_profiles set status = 'paused', full_name = 'Ada' where id = $1", [
      mentor
    ])
    const { event_id, payload, fingerprint, same_instant } = await database.row<{
      event_id: string
      payload: Record<string, unknown>
      fingerprint: string
      same_instant: boolean
    }>(
      `select event_id, sent as payload, outbox.fingerprint(q) as fingerprint, occurred_at = (sent ->> 'timestamp')::timestamptz as same_instant
       from outbox.events q cross join outbox.body(q) as sent where key = $1`,
      [mentor]
    )
    const { timestamp, ...rest } = payload
    assert.deepStrictEqual(rest, {
      topic: "pause-status",
      type: "UPDATE",
      table: "peer_mentor_profiles",
      schema: "public",
      record: { id: mentor, status: "paused" },
      old_record: { id: mentor, status: "active" },
      event_id,
      version: 1,
      traceparent: `00-${event_id.replaceAll("-", "")}-${event_id.replaceAll("-", "").slice(16)}-01`
    })
    assert.match(String(timestamp), /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/)
    assert.isTrue(same_instant)
    assert.strictEqual(fingerprint, `pause-status ${mentor} ${String(timestamp)} 1`)
  })

  it("fails the change of the profile if the outbox cannot be written", async () => {
    await using own = await openReadyDatabase()
    const mentor = await createMentor(own)
    await own.rows("alter table outbox.events add constraint full_disk check (false)")
    const failure = await failureOf(setStatus(own, mentor, "paused"))
    assert.include(failure, "full_disk")
    const { status } = await own.row<{ status: string }>("select status from public.peer_mentor_profiles")
    assert.strictEqual(status, "active")
  })

  it("captures for a writer with rights to nothing but the profiles", async () => {
    const mentor = await createMentor(database)
    await using client = await database.connect()
    await client.query("begin")
    await client.query("grant select, update on public.peer_mentor_profiles to authenticated")
    await client.query("create policy anyone on public.peer_mentor_profiles to authenticated using (true)")
    await client.query("set local role authenticated")
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    await client.query("commit")
    const [event] = await eventsOf(database, mentor)
    assert.strictEqual(event?.attempts, 1)
  })
})
