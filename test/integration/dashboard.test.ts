import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { eventIdFromKey } from "../../src/services/EventIdentity.ts"
import { answersOf, useDashboardWebhook } from "../support/dashboardWebhook.ts"
import {
  createMentor,
  type Database,
  eventsOf,
  eventually,
  expectTold,
  openDatabase,
  orchestratorPath,
  type Pipeline,
  startPipeline
} from "../support/pipeline.ts"
import { staticSecret } from "../support/signing.ts"

// Only the dashboard's own webhook tells the function anything: no outbox, no sweep, and no secret that signs.
let pipeline: Pipeline
let admin: Database

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { WEBHOOK_SECRETS: "", WEBHOOK_STATIC_SECRET: staticSecret } })
  await pipeline.stack.services.cron.stop()
  admin = openDatabase(pipeline.stack.adminUrl)
  await useDashboardWebhook(admin, pipeline.stack.functionUrl, { "X-Webhook-Secret": staticSecret })
})
afterAll(async () => {
  await admin?.[Symbol.asyncDispose]()
  await pipeline?.[Symbol.asyncDispose]()
})

/** The words of the answers to all webhooks that a piece of work sets off. */
const answersTo = async (work: () => Promise<unknown>): Promise<ReadonlyArray<string>> => {
  const waiting = "select count(*)::int as hooks from supabase_functions.hooks"
  const before = (await admin.rows<{ hooks: number }>(waiting))[0]?.hooks ?? 0
  await work()
  const after = (await admin.rows<{ hooks: number }>(waiting))[0]?.hooks ?? 0
  assert.isAbove(after, before, "no webhook was sent")
  const answers = await eventually("an answer to each webhook", async () => {
    const all = await answersOf(admin)
    return all.length === after ? all : undefined
  })
  return answers.slice(before).map(({ content, status }) => {
    const { code, reason, status: word, transition } = JSON.parse(content)
    return `${status} ${code ?? `${word} ${reason ?? transition}`}`
  })
}

const newMentor = async (): Promise<string> => {
  let mentorId = ""
  const answers = await answersTo(async () => {
    mentorId = await createMentor(pipeline.database)
  })
  assert.deepStrictEqual(answers, ["200 no_change inserted"])
  return mentorId
}

const change = (mentorId: string, set: string) =>
  pipeline.database.rows(`update public.peer_mentor_profiles set ${set} where id = $1`, [mentorId])

describe("a webhook made in Supabase's dashboard, with a static secret", () => {
  it("notifies a pause and a resume once, as our own trigger would", async () => {
    const mentorId = await newMentor()
    const answers = [
      ...(await answersTo(() => change(mentorId, "status = 'paused', updated_at = clock_timestamp()"))),
      ...(await answersTo(() => change(mentorId, "status = 'active', updated_at = clock_timestamp()")))
    ]
    assert.deepStrictEqual(answers, ["200 notified PAUSE", "200 notified RESUME"])
    await expectTold(pipeline.database, mentorId, "PAUSE", "RESUME")
  })

  it("notifies a second pause, too, even if nobody writes updated_at: our own table keeps it current", async () => {
    const mentorId = await newMentor()
    const answers: Array<string> = []
    for (const status of ["paused", "active", "paused"]) {
      answers.push(...(await answersTo(() => change(mentorId, `status = '${status}'`))))
    }
    assert.deepStrictEqual(answers, ["200 notified PAUSE", "200 notified RESUME", "200 notified PAUSE"])
    await expectTold(pipeline.database, mentorId, "PAUSE", "RESUME", "PAUSE")
  })

  it("is identified by the mentor, the raw time with its microseconds, and the transition", async () => {
    const mentorId = await newMentor()
    await answersTo(() => change(mentorId, "status = 'paused', updated_at = '2026-11-22 10:30:00.120456+01'"))
    const [event] = await eventsOf(pipeline.database, mentorId)
    const key = `${mentorId} 2026-11-22T09:30:00.120456+00:00 PAUSE`
    assert.strictEqual(event?.event_id, await Effect.runPromise(eventIdFromKey(key)))
    const [call, ...others] = pipeline.proxy.seen(orchestratorPath, mentorId)
    assert.lengthOf(others, 0)
    assert.strictEqual(call?.headers["idempotency-key"], event?.event_id)
  })

  it("gives the orchestrator only the id and the statuses of the profile", async () => {
    const mentorId = await newMentor()
    await answersTo(() => change(mentorId, "status = 'paused', updated_at = clock_timestamp(), bio = 'canary'"))
    const [call] = pipeline.proxy.seen(orchestratorPath, mentorId)
    assert.isDefined(call)
    assert.notMatch(call.body, /canary|languages|born|rating/)
  })

  it("sent twice, as pg_net may do, is notified once", async () => {
    const mentorId = await newMentor()
    const pause = "status = 'paused', updated_at = '2026-11-22T09:30:00.000001Z'"
    assert.deepStrictEqual(await answersTo(() => change(mentorId, pause)), ["200 notified PAUSE"])
    await admin.transaction(
      "commit",
      "set local session_replication_role = replica",
      `update public.peer_mentor_profiles set status = 'active', updated_at = now() where id = '${mentorId}'`
    )
    assert.deepStrictEqual(await answersTo(() => change(mentorId, pause)), ["409 already_processed"])
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("sent twice at once is notified once: the other delivery must come later, or learns that it is done", async () => {
    const mentorId = await newMentor()
    const set = (changes: string) => `update public.peer_mentor_profiles set ${changes} where id = '${mentorId}'`
    const pause = set("status = 'paused', updated_at = '2026-11-22T09:30:00.000001Z'")
    const answers = await answersTo(() =>
      admin.transaction(
        "commit",
        pause,
        "set local session_replication_role = replica",
        set("status = 'active', updated_at = now()"),
        "set local session_replication_role = origin",
        pause
      )
    )
    assert.lengthOf(answers, 2)
    const [loser, winner] = answers.toSorted().toReversed()
    assert.strictEqual(winner, "200 notified PAUSE")
    assert.oneOf(loser, ["409 already_processed", "409 in_flight"])
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("a pause and a resume in one transaction, with the same time, are two events", async () => {
    const mentorId = await newMentor()
    const set = (status: string) =>
      `update public.peer_mentor_profiles set status = '${status}', updated_at = now() where id = '${mentorId}'`
    const answers = await answersTo(() => pipeline.database.transaction("commit", set("paused"), set("active")))
    assert.deepStrictEqual(answers, ["200 notified PAUSE", "200 notified RESUME"])
    const events = await eventsOf(pipeline.database, mentorId)
    assert.sameMembers(
      events.map(({ transition }) => transition),
      ["PAUSE", "RESUME"]
    )
  })

  it("a second pause in one transaction is lost: only the outbox can tell it from the first", async () => {
    const mentorId = await newMentor()
    const set = (status: string) =>
      `update public.peer_mentor_profiles set status = '${status}', updated_at = now() where id = '${mentorId}'`
    const answers = await answersTo(() =>
      pipeline.database.transaction("commit", set("paused"), set("active"), set("paused"))
    )
    assert.sameMembers(
      answers.map((answer) => answer.replace(/^409 .*/, "409")),
      ["200 notified PAUSE", "200 notified RESUME", "409"]
    )
  })

  it.each([
    ["status = status", "200 no_change unchanged"],
    ["bio = 'another'", "200 no_change unchanged"],
    ["status = 'retired'", "200 no_change unrecognised"],
    ["status = 'Paused'", "200 no_change unrecognised"],
    ["status = 'paused', updated_at = '-infinity'", "400 no_event_time"]
  ])("a change of %s is answered %s and notifies nobody", async (set, answer) => {
    const mentorId = await newMentor()
    assert.deepStrictEqual(await answersTo(() => change(mentorId, set)), [answer])
    assert.lengthOf(pipeline.proxy.seen("", mentorId), 0)
  })

  it("a deleted profile is answered 400 and notifies nobody", async () => {
    const mentorId = await newMentor()
    const remove = "delete from public.peer_mentor_profiles where id = $1"
    assert.deepStrictEqual(await answersTo(() => pipeline.database.rows(remove, [mentorId])), ["400 invalid_payload"])
    assert.lengthOf(pipeline.proxy.seen("", mentorId), 0)
  })

  it("a bulk change notifies each mentor's coordinators once", async () => {
    const mentorIds = [await newMentor(), await newMentor(), await newMentor()]
    const answers = await answersTo(() =>
      pipeline.database.rows(
        "update public.peer_mentor_profiles set status = 'paused', updated_at = now() where id = any ($1::uuid[])",
        [mentorIds]
      )
    )
    assert.deepStrictEqual(answers, ["200 notified PAUSE", "200 notified PAUSE", "200 notified PAUSE"])
    for (const mentorId of mentorIds) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("a time without a zone, as text in the profile, is accepted", async () => {
    await admin.rows("alter table public.peer_mentor_profiles alter updated_at type timestamp")
    const mentorId = await newMentor()
    const answers = await answersTo(() => change(mentorId, "status = 'paused', updated_at = '2026-11-22 09:30:00.5'"))
    await admin.rows("alter table public.peer_mentor_profiles alter updated_at type timestamptz")
    assert.deepStrictEqual(answers, ["200 notified PAUSE"])
  })

  it("a profile without a time of change is answered 400, with what to do", async () => {
    await admin.rows("alter table public.peer_mentor_profiles rename updated_at to changed")
    const mentorId = await newMentor()
    const answers = await answersTo(() => change(mentorId, "status = 'paused'"))
    await admin.rows("alter table public.peer_mentor_profiles rename changed to updated_at")
    assert.deepStrictEqual(answers, ["400 no_event_time"])
    assert.include((await answersOf(admin)).at(-1)?.content, "add an updated_at timestamptz column")
  })
})

describe("a webhook made in the dashboard, whose secret is wrong", () => {
  it.each([
    { "X-Webhook-Secret": `${staticSecret}x` },
    { "X-Webhook-Secret": staticSecret.slice(1) },
    { "X-Webhook-Secret": "" },
    { "X-Other": staticSecret },
    { Authorization: `Bearer ${staticSecret}` },
    { "webhook-signature": staticSecret }
  ])("%j is answered 401, and nothing is read or written", async (headers) => {
    const { functionUrl } = pipeline.stack
    const mentorId = randomUUID()
    const body = JSON.stringify({
      type: "UPDATE",
      table: "peer_mentor_profiles",
      record: { id: mentorId, status: "paused", updated_at: "2026-11-22T09:30:00+00:00" },
      schema: "public",
      old_record: { id: mentorId, status: "active" }
    })
    const response = await fetch(functionUrl, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers }
    })
    assert.strictEqual(response.status, 401)
    assert.strictEqual((await response.json()).code, "unauthorized")
    assert.lengthOf(pipeline.proxy.seen("", mentorId), 0)
  })
})
