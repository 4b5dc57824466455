import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID, type UUID } from "node:crypto"
import { openapiText } from "../../local/openapi.ts"
import { MentorId } from "../../src/schema/Identifiers.ts"
import { type Contract, observe, openContract } from "../support/contract.ts"
import { deliver, verdict } from "../support/deliveries.ts"
import { newMentorId, seedDatabase, seedOf } from "../support/events.ts"
import {
  createMentor,
  type Database,
  eventually,
  eventsOf,
  expectTold,
  openDatabase,
  setStatus
} from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"

const stack = sharedStack()
const { databaseUrl, functionUrl, publishableKey, serviceKey } = stack
const base = "/api/v1/webhooks/pause-status"
const root = functionUrl.slice(0, -base.length)

type Headers = Readonly<Record<string, string>>
const project: Headers = { apikey: serviceKey }
// As supabase-js sends it: the key names the project, the token the user.
const user = (role?: string, sub = randomUUID()): Headers => ({
  apikey: publishableKey,
  authorization: `Bearer ${stack.userToken({ sub, ...(role !== undefined && { role }) })}`
})

let database: Database
let contract: Contract
beforeAll(async () => {
  database = openDatabase(databaseUrl)
  contract = await openContract()
})
afterAll(() => database?.[Symbol.asyncDispose]())

/** Asks the running function; every reply is held against the contract. */
const ask = async (method: string, path: string, headers: Headers = project, body?: unknown) => {
  const response = await fetch(root + path, {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
  const seen = await observe(method, path, response)
  assert.deepStrictEqual(contract.violations(seen), [], `${method} ${path} ${seen.status} ${seen.body}`)
  const value = seen.body === "" ? {} : JSON.parse(seen.body)
  return { ...seen, value, word: [seen.status, value.code ?? value.outcome].filter(Boolean).join(" ") }
}

/** Who may ask how things are is told so: 503 when a busy machine's orchestrator takes longer to say a word. */
const askHealth = async (headers: Headers) => {
  const asked = await ask("GET", "/health", headers)
  return { word: asked.status === 503 ? "200" : asked.word }
}

/** A dead letter of a mentor with one coordinator. */
const coordinated = async () => {
  const mentorId = MentorId.make(await createMentor(database, "active", 1))
  const [row] = await database.rows<{ readonly coordinatorId: UUID }>(
    'select coordinator_id as "coordinatorId" from public.mentor_coordinators where mentor_id = $1',
    [mentorId]
  )
  const event = seedOf({ mentorId, status: "failed" })
  await seedDatabase(database, event)
  return { event, coordinatorId: row?.coordinatorId ?? assert.fail("the mentor has no coordinator") }
}

const everything = [
  "200",
  "200",
  "404 not_found",
  "200 would_redrive",
  "409 not_settled",
  "404 not_found",
  "200",
  "200"
]
const turnedAway = (word: string) => everything.map(() => word)
const reading = (look: string) => {
  const no = "403 forbidden"
  return ["200", look, "404 not_found", no, no, no, no, "200"]
}

describe("the running function, asked by", () => {
  let event: ReturnType<typeof seedOf>
  let coordinatorId: UUID
  beforeAll(async () => {
    ;({ coordinatorId, event } = await coordinated())
  })

  it.each<readonly [who: string, headers: () => Headers, replies: ReadonlyArray<string>]>([
    ["nobody", () => ({}), turnedAway("401 unauthorized")],
    ["one with a wrong key", () => ({ apikey: "sb_secret_wrong" }), turnedAway("401 unauthorized")],
    ["one with the publishable key", () => ({ apikey: publishableKey }), turnedAway("401 unauthorized")],
    [
      "one with half a token",
      () => ({ authorization: user("admin")["authorization"]?.slice(0, -4) ?? "" }),
      turnedAway("401 unauthorized")
    ],
    ["the project", () => project, everything],
    ["an admin", () => user("admin"), everything],
    ["the mentor's coordinator", () => user("coordinator", coordinatorId), reading("200")],
    ["another coordinator", () => user("coordinator"), reading("404 not_found")],
    ["a user without a role", () => user(), turnedAway("403 forbidden")]
  ])("%s, answers as the table says", async (_, headersOf, replies) => {
    const headers = headersOf()
    const own = `${base}/${event.eventId}`
    const unknown = `${base}/${randomUUID()}`
    const asked = [
      await ask("GET", `${base}?key=${event.mentorId}`, headers),
      await ask("GET", own, headers),
      await ask("GET", unknown, headers),
      await ask("PUT", own, headers, { status: "pending", dryRun: true }),
      await ask("DELETE", own, headers),
      await ask("DELETE", unknown, headers),
      await askHealth(headers),
      await ask("GET", "/openapi.json", headers)
    ]
    assert.deepStrictEqual(
      asked.map(({ word }) => word),
      replies
    )
  })

  it("the project, is ready", () =>
    eventually("a health of 200", async () => {
      const { status, value } = await ask("GET", "/health")
      return status === 200 && value.status === "ready" ? true : undefined
    }))

  it("the project, has the committed document", async () => {
    const { body } = await ask("GET", "/openapi.json")
    assert.deepStrictEqual(JSON.parse(body), JSON.parse(openapiText()))
  })
})

describe("a dead letter", () => {
  it("is listed, shown, tried, sent again and notified, and needs no second redrive", async () => {
    const { eventId, mentorId } = (await coordinated()).event
    const path = `${base}/${eventId}`
    const { value: page } = await ask("GET", `${base}?status=failed&key=${mentorId}`)
    assert.deepStrictEqual(
      page.events.map((event: { readonly eventId: string }) => event.eventId),
      [eventId]
    )
    assert.isNull((await ask("GET", path)).value.deadLetter.resolution)
    assert.strictEqual((await ask("PUT", path, project, { status: "pending", dryRun: true })).word, "200 would_redrive")
    assert.strictEqual((await ask("PUT", path, project, { status: "pending" })).word, "200 redriven")
    await eventually(`${eventId} told`, async () => {
      const [event] = await eventsOf(database, mentorId)
      return event?.status === "completed" ? event : undefined
    })
    const { value } = await ask("GET", path)
    assert.strictEqual(value.status, "completed")
    assert.strictEqual(value.deadLetter.resolution, "redriven")
    assert.isNotEmpty(value.attempts)
    assert.strictEqual((await ask("PUT", path, project, { status: "pending" })).word, "409 not_failed")
  })

  it("can be resolved with notes twice, and erased twice", async () => {
    const { eventId } = (await coordinated()).event
    const path = `${base}/${eventId}`
    const resolve = { status: "resolved", notes: "told by telephone; ünïcödé ✓" }
    assert.strictEqual((await ask("DELETE", path)).word, "409 not_settled")
    assert.strictEqual((await ask("PUT", path, project, resolve)).word, "200 resolved")
    assert.strictEqual((await ask("PUT", path, project, resolve)).word, "200 already_resolved")
    assert.strictEqual((await ask("GET", path)).value.deadLetter.notes, resolve.notes)
    assert.strictEqual((await ask("DELETE", path)).word, "204")
    assert.strictEqual((await ask("DELETE", path)).word, "204")
    assert.strictEqual((await ask("GET", path)).word, "404 not_found")
  })
})

it("a pending event is tried, cancelled with notes, and erased, but not while it is being processed", async () => {
  const [pending, processing] = [seedOf({ status: "pending" }), seedOf({ status: "processing" })]
  await seedDatabase(database, pending, processing)
  const path = `${base}/${pending.eventId}`
  const cancel = { status: "resolved", notes: "a mistake" }
  assert.strictEqual((await ask("PUT", path, project, { ...cancel, dryRun: true })).word, "200 would_cancel")
  assert.strictEqual((await ask("PUT", path, project, cancel)).word, "200 cancelled")
  const { deadLetter } = (await ask("GET", path)).value
  assert.deepInclude(deadLetter, { reason: "cancelled", resolution: "resolved", notes: "a mistake" })
  assert.strictEqual((await ask("DELETE", path)).word, "204")
  assert.strictEqual((await ask("PUT", `${base}/${processing.eventId}`, project, cancel)).word, "409 in_flight")
})

it("an event that reached nobody says so, is redriven, or acknowledged", async () => {
  const event = seedOf({ notified: 0 })
  await seedDatabase(database, event)
  const path = `${base}/${event.eventId}`
  assert.isTrue((await ask("GET", path)).value.reachedNobody)
  assert.isTrue((await ask("GET", `${base}?key=${event.mentorId}`)).value.events[0].reachedNobody)
  assert.strictEqual((await ask("PUT", path, project, { status: "pending", dryRun: true })).word, "200 would_redrive")
  assert.strictEqual((await ask("PUT", path, project, { status: "resolved" })).word, "200 resolved")
  assert.strictEqual((await ask("PUT", path, project, { status: "resolved" })).word, "200 already_resolved")
  assert.isTrue((await ask("GET", path)).value.receipt.acknowledged)
})

it("an erased event is not notified again when its delivery comes back", async () => {
  const mentorId = await createMentor(database)
  await setStatus(database, mentorId, "paused")
  const [{ event_id: eventId } = assert.fail("no event")] = await expectTold(database, mentorId, "PAUSE")
  const [{ payload } = assert.fail("no payload")] = await database.rows<{ readonly payload: object }>(
    "select outbox.body(q) as payload from outbox.events q where event_id = $1",
    [eventId]
  )
  assert.strictEqual((await ask("DELETE", `${base}/${eventId}`)).word, "204")
  assert.strictEqual(await verdict(await deliver(stack, payload, eventId)), "409 already_processed")
  const told = await database.rows("select from public.notifications where event_id = $1", [eventId])
  assert.lengthOf(told, 2)
})

it("pages neither repeat nor skip an event while others are added", async () => {
  const mentorId = newMentorId()
  const events = Array.from({ length: 7 }, (_, index) =>
    seedOf({ mentorId, version: index + 1, createdAt: `2026-11-22T09:30:0${index}.000000Z` })
  )
  await seedDatabase(database, ...events)
  const read: Array<string> = []
  let cursor: string | null = ""
  while (cursor !== null) {
    const more: string = cursor === "" ? "" : `&cursor=${cursor}`
    const { value } = await ask("GET", `${base}?key=${mentorId}&limit=2${more}`)
    read.push(...value.events.map((event: { readonly eventId: string }) => event.eventId))
    cursor = value.nextCursor
    await seedDatabase(
      database,
      seedOf({ mentorId, version: 10 + read.length, createdAt: "2026-11-22T09:31:00.000000Z" })
    )
  }
  assert.deepStrictEqual(read, events.map(({ eventId }) => eventId).toReversed())
})
