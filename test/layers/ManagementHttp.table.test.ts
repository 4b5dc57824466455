import { assert, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { type Contract, observe, openContract } from "../support/contract.ts"
import { seedMemory, type Seed, seedOf } from "../support/events.ts"
import { base, type Headers, legacyKey, managementWorld, secretKey, user } from "./managementWorld.ts"

const { ask, state: store } = managementWorld()
let contract: Contract
beforeAll(async () => {
  contract = await openContract()
})

const [admin, coordinator, stranger, nobody] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]

type Reach = "everything" | "their mentors" | "another's mentors"

/** Each credential: its headers, and how far it reaches, or with what it is turned away. */
const credentials: Readonly<Record<string, readonly [headers: Headers, reach: Reach | `40${1 | 3} ${string}`]>> = {
  "no credentials": [{}, "401 unauthorized"],
  "a wrong key": [{ apikey: "sb_secret_2" }, "401 unauthorized"],
  "the secret key": [secretKey, "everything"],
  "the legacy service role key": [legacyKey, "everything"],
  "an admin": [user(admin, "admin"), "everything"],
  "the mentor's coordinator": [user(coordinator, "coordinator"), "their mentors"],
  "another's coordinator": [user(stranger, "coordinator"), "another's mentors"],
  "a user without a role": [user(nobody), "403 forbidden"],
  "an expired admin": [user(admin, "admin", -3_600), "401 unauthorized"]
}

const states: Readonly<Record<string, Partial<Seed> | undefined>> = {
  unknown: undefined,
  pending: { status: "pending" },
  processing: { status: "processing" },
  completed: { status: "completed", notifiedVersion: 1 },
  failed: { status: "failed" },
  unreached: { status: "completed", notified: 0, notifiedVersion: 1 },
  superseded: { status: "failed", notifiedVersion: 2 },
  resolved: { status: "failed", resolved: true, notifiedVersion: 1 },
  erased: { status: "completed" }
}
type StateName =
  | "unknown"
  | "pending"
  | "processing"
  | "completed"
  | "unreached"
  | "failed"
  | "superseded"
  | "resolved"
  | "erased"

interface Operation {
  readonly method: string
  readonly path: (eventId: string) => string
  readonly body?: unknown
  readonly coordinators: "their events" | "all of it" | "none of it"
  readonly replies: Readonly<Record<StateName, string>>
}

const always = (reply: string): Operation["replies"] => ({
  unknown: reply,
  pending: reply,
  processing: reply,
  completed: reply,
  unreached: reply,
  failed: reply,
  superseded: reply,
  resolved: reply,
  erased: reply
})
const ofEvent = (eventId: string) => `${base}/${eventId}`
const missing = { unknown: "404 not_found", erased: "404 not_found" }

/** Each endpoint, and what it answers to one who may, by the state of the event. */
const operations: Readonly<Record<string, Operation>> = {
  list: { method: "GET", path: () => base, coordinators: "all of it", replies: always("200") },
  look: { method: "GET", path: ofEvent, coordinators: "their events", replies: { ...always("200"), ...missing } },
  redrive: {
    method: "PUT",
    path: ofEvent,
    body: { status: "pending" },
    coordinators: "none of it",
    replies: {
      ...missing,
      pending: "200 already_pending",
      processing: "200 already_pending",
      completed: "409 not_failed",
      unreached: "200 redriven",
      failed: "200 redriven",
      superseded: "409 superseded",
      resolved: "200 redriven"
    }
  },
  "forced redrive": {
    method: "PUT",
    path: ofEvent,
    body: { status: "pending", force: true },
    coordinators: "none of it",
    replies: {
      ...missing,
      pending: "200 already_pending",
      processing: "200 already_pending",
      completed: "409 not_failed",
      unreached: "200 redriven",
      failed: "200 redriven",
      superseded: "200 redriven",
      resolved: "200 redriven"
    }
  },
  resolve: {
    method: "PUT",
    path: ofEvent,
    body: { status: "resolved", notes: "told by telephone" },
    coordinators: "none of it",
    replies: {
      ...missing,
      pending: "200 cancelled",
      processing: "409 in_flight",
      completed: "409 not_failed",
      unreached: "200 resolved",
      failed: "200 resolved",
      superseded: "200 resolved",
      resolved: "200 already_resolved"
    }
  },
  erase: {
    method: "DELETE",
    path: ofEvent,
    coordinators: "none of it",
    replies: {
      unknown: "404 not_found",
      pending: "409 not_settled",
      processing: "409 not_settled",
      completed: "204",
      unreached: "204",
      failed: "409 not_settled",
      superseded: "409 not_settled",
      resolved: "204",
      erased: "204"
    }
  },
  health: { method: "GET", path: () => "/health", coordinators: "none of it", replies: always("200 ready") },
  document: { method: "GET", path: () => "/openapi.json", coordinators: "all of it", replies: always("200") }
}

const expected = (reach: string, { coordinators, replies }: Operation, state: StateName): string => {
  if (reach === "everything") return replies[state]
  if (reach !== "their mentors" && reach !== "another's mentors") return reach
  if (coordinators === "none of it") return "403 forbidden"
  return coordinators === "their events" && reach === "another's mentors" ? "404 not_found" : replies[state]
}

interface Row {
  readonly who: string
  readonly what: string
  readonly state: StateName
  readonly reply: string
}

const stateNames: ReadonlyArray<StateName> = [
  "unknown",
  "pending",
  "processing",
  "completed",
  "unreached",
  "failed",
  "superseded",
  "resolved",
  "erased"
]

const rows: ReadonlyArray<Row> = Object.entries(credentials).flatMap(([who, [, reach]]) =>
  Object.entries(operations).flatMap(([what, operation]) =>
    stateNames.map((state) => ({ who, what, state, reply: expected(reach, operation, state) }))
  )
)

const eventIn = async (state: StateName) => {
  const event = seedOf(states[state])
  store.events.clear()
  store.visibleTo.set(coordinator, new Set([event.mentorId]))
  if (state !== "unknown") await Effect.runPromise(seedMemory(store)(event))
  if (state === "erased") await ask("DELETE", ofEvent(event.eventId))
  return event
}

describe("every endpoint, for every caller, in every state", () => {
  it("is in the table", () => {
    assert.lengthOf(rows, 9 * 8 * 9)
  })

  it.each(rows)("$what by $who of an event that is $state: $reply", async ({ reply, state, what, who }) => {
    const { eventId, mentorId } = await eventIn(state)
    const [headers] = credentials[who] ?? assert.fail(who)
    const { body, method, path } = operations[what] ?? assert.fail(what)
    const before = structuredClone(store)
    const response = await ask(method, path(eventId), headers, body === undefined ? undefined : JSON.stringify(body))
    const seen = await observe(method, path(eventId), response)
    const value = seen.body === "" ? {} : JSON.parse(seen.body)
    const word = value.code ?? value.outcome ?? (what === "health" ? value.status : undefined)
    assert.strictEqual([seen.status, word].filter((part) => part !== undefined).join(" "), reply)
    assert.deepStrictEqual(contract.violations(seen), [])
    assert.strictEqual(seen.headers.get("cache-control"), "no-store")
    if (seen.status > 299) assert.deepStrictEqual(store, before, "a refusal changes nothing")
    if (what === "list" && seen.status === 200) {
      const listed: ReadonlyArray<{ readonly mentorId: string }> = value.events
      assert.isTrue(listed.every((event) => event.mentorId === mentorId))
      assert.strictEqual(listed.length > 0, who !== "another's coordinator" && !["unknown", "erased"].includes(state))
    }
  })
})
