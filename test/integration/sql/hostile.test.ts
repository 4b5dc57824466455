import { randomUUID } from "node:crypto"
import type { DatabaseError } from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { asClaim, claimOf, type Database, foreignEvent, openReadyDatabase } from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

const digits = (count: number): string => "9".repeat(count)
const long = "x".repeat(1_000_000)
const deep = `${"[".repeat(500)}${"]".repeat(500)}`

// As JSON text, because JavaScript can neither write nor keep some of them.
const scalars: Record<string, string> = {
  "a negative number": "-1",
  "a fraction": "1.5",
  "ten to the 400th": "1e400",
  "a number of a thousand digits": digits(1_000),
  "thirty-two digits, which are a uuid without hyphens": digits(32),
  true: "true",
  false: "false",
  "an empty array": "[]",
  "an array of what is right": '["00000000-0000-4000-8000-000000000000", "PAUSE", "completed", 1]',
  "an empty object": "{}",
  "an operator": '{"$ne": null}',
  "a nest of arrays": deep,
  "an empty string": '""',
  "a blank": '" "',
  "a quote and a statement": '"\'; drop table outbox.events; --"',
  "an always true condition": "\"' or true or '1' = '1\"",
  "a subquery": '"(select key from outbox.events limit 1)"',
  "a row constructor": '"(1,2)"',
  "an array literal": '"{00000000-0000-4000-8000-000000000000}x"',
  "a dollar quote": '"$$ or true $$"',
  "a pattern": '"%"',
  "a format": '"%s %1$s %I"',
  "a json path": '"$.*"',
  "a megabyte": `"${long}"`,
  "a word of time": '"now"',
  infinity: '"infinity"',
  "a day that does not exist": '"2026-02-30T00:00:00Z"',
  "a year that does not exist": '"99999999-01-01T00:00:00Z"',
  "another script's digits": '"٢٠٢٦-٠١-٠١T٠٠:٠٠:٠٠Z"',
  "a line break": '"completed\\n"',
  "another case": '"COMPLETED"'
}
const everywhere = Object.entries(scalars).map(([name, json]) => ({ name, json }))

const neverJson = [
  { name: "an escaped NUL", json: '"\\u0000"' },
  { name: "half of a surrogate pair", json: '"\\ud800"' }
]

interface Refusal {
  readonly code: string | undefined
  readonly hint: string | undefined
  readonly text: string
}

const refusalOf = async (work: Promise<unknown>): Promise<Refusal> => {
  const cause = await work.then(
    (answer) => assert.fail(`it was answered: ${JSON.stringify(answer).slice(0, 300)}`),
    (error: DatabaseError) => error
  )
  const text = [cause.message, cause.detail, cause.hint, cause.where].join("\n")
  return { code: cause.code, hint: cause.hint, text }
}

describe("hostile input", () => {
  let database: Database
  let kept: unknown
  const ids: Array<string> = []

  const everything = () =>
    database.row(
      `select (select jsonb_agg(to_jsonb(q) order by q.event_id) from outbox.events q) as events,
         (select jsonb_agg(to_jsonb(d) order by d.id) from outbox.dead_letters d) as letters,
         (select count(*) from outbox.attempts) as attempts,
         (select count(*) from outbox.erased) as tombstones,
         (select count(*) from public.notifications) as notifications`
    )

  /** An error may repeat what the caller said, up to a line; never what is stored. */
  const assertSilent = ({ text }: Refusal) => {
    for (const id of ids) assert.notInclude(text, id)
    assert.isBelow(text.length, 2_000)
  }

  beforeAll(async () => {
    database = await openReadyDatabase()
    for (const state of ["pending", "processing", "completed", "failed", "resolved"] as const) {
      ids.push(await inState[state](database))
    }
    const mentors = await database.rows<{ key: string }>("select key from outbox.events")
    ids.push(...mentors.map(({ key }) => key))
    kept = await everything()
  })
  afterAll(async () => {
    assert.deepStrictEqual(await everything(), kept)
    await database[Symbol.asyncDispose]()
  })

  describe("in a query of the list", () => {
    const list = (query: string) => database.call<{ events: ReadonlyArray<unknown> }>("outbox_list_events", { query })

    const fields = [
      "topic",
      "status",
      "key",
      "record",
      "occurredFrom",
      "occurredTo",
      "after",
      "limit",
      "userId",
      "unknown",
      "__proto__"
    ]
    // Any text may be a topic or a key, and any object part of a record.
    const isTaken = (field: string, json: string): boolean =>
      field === "record" ? json.startsWith("{") : ["topic", "key"].includes(field) && json.startsWith('"')
    it.for(fields)("is refused as the value of %s, with a hint", async (field) => {
      for (const { name, json } of everywhere) {
        if (isTaken(field, json)) continue
        const refusal = await refusalOf(list(`{"topic": "pause-status", "limit": 1, "${field}": ${json}}`))
        assert.strictEqual(refusal.code, "22023", name)
        assert.isNotEmpty(refusal.hint, name)
        assertSilent(refusal)
      }
    })

    it.for(["topic", "key", "record"])(
      "finds nothing as the value of %s, where any value is allowed",
      async (field) => {
        for (const { name, json } of everywhere) {
          // Part of every record.
          if (!isTaken(field, json) || json === "{}") continue
          const { events } = await list(`{"topic": "pause-status", "limit": 1, "${field}": ${json}}`)
          assert.deepStrictEqual(events, [], name)
        }
      }
    )

    it.for(["createdAt", "eventId", "unknown"])("is refused as the value of %s in a cursor", async (field) => {
      const cursor = '"createdAt": "2026-01-01T00:00:00.000000Z", "eventId": "00000000-0000-4000-8000-000000000000"'
      for (const { name, json } of everywhere) {
        const refusal = await refusalOf(
          list(`{"topic": "pause-status", "limit": 1, "after": {${cursor}, "${field}": ${json}}}`)
        )
        assert.strictEqual(refusal.code, "22023", name)
        assertSilent(refusal)
      }
      await list(`{"topic": "pause-status", "limit": 1, "after": {${cursor}}}`)
    })

    it("is refused instead of the query", async () => {
      for (const { name, json } of everywhere) {
        assert.strictEqual((await refusalOf(list(json))).code, "22023", name)
      }
      assert.strictEqual((await refusalOf(list("null"))).code, "22023")
      assert.strictEqual((await refusalOf(database.call("outbox_list_events", { query: null }))).code, "22023")
    })

    it("is refused by Postgres itself if it is not storable JSON", async () => {
      for (const { name, json } of neverJson) {
        const refusal = await refusalOf(list(`{"topic": "pause-status", "limit": 1, "status": ${json}}`))
        assert.include(["22P05", "22P02"], refusal.code, name)
        assertSilent(refusal)
      }
    })

    it("is refused if a user is null, which would mean everybody's events", async () => {
      const refusal = await refusalOf(list('{"topic": "pause-status", "limit": 1, "userId": null}'))
      assert.include(refusal.text, "userId must be a uuid")
    })

    it("is refused if the limit is missing, invalid, or more than a hundred", async () => {
      for (const limit of ["null", "0", "101", "100.5", "-0.5", '"1"']) {
        assert.strictEqual((await refusalOf(list(`{"topic": "pause-status", "limit": ${limit}}`))).code, "22023", limit)
      }
      assert.strictEqual((await refusalOf(list('{"topic": "pause-status"}'))).code, "22023")
      for (const limit of ["1", "1.0", "1e2", "100"]) await list(`{"topic": "pause-status", "limit": ${limit}}`)
    })

    it("is refused with everything that is wrong with it at once", async () => {
      const { text } = await refusalOf(list('{"status": 1, "key": 1, "record": 1, "limit": "x", "more": 1}'))
      for (const part of [
        "topic must",
        "status must",
        "key must",
        "record must",
        "limit must",
        "a key that is not known"
      ]) {
        assert.include(text, part)
      }
    })
  })

  describe("instead of an event id", () => {
    const calls = [
      ["outbox_get_event", {}],
      ["outbox_redrive", { force: true }],
      ["outbox_resolve", { notes: "x" }],
      ["outbox_erase", {}]
    ] as const

    it.for(calls)("is refused by %s", async ([name, args]) => {
      for (const { name: what, json } of everywhere) {
        const given: unknown = json.startsWith('"') ? JSON.parse(json) : json
        if (given === digits(32)) continue
        const refusal = await refusalOf(database.call(name, { topic: "pause-status", event_id: given, ...args }))
        assert.strictEqual(refusal.code, "22P02", what)
        for (const id of ids) assert.notInclude(refusal.text, id)
      }
    })

    it.for(calls)("finds no event if it is null: %s", async ([name, args]) => {
      const answer = await database.call<{ outcome?: string } | null>(name, {
        topic: "pause-status",
        event_id: null,
        ...args
      })
      assert.include([null, "unknown"], answer?.outcome ?? null)
    })
  })

  describe("in the fields of what is claimed, notified or settled", () => {
    const pauseFields = ["eventId", "mentorId", "transition", "oldStatus", "newStatus", "source", "version", "force"]
    const claimFields = ["eventId", "topic", "key", "occurredAt", "source", "version", "record", "oldRecord"]
    const event = foreignEvent({ source: "outbox", version: 1 })

    it.for([
      ["outbox_claim", asClaim(event), claimFields],
      ["pause_status_notify", event, pauseFields]
    ] as const)("is answered as invalid by %s", async ([name, good, fields]) => {
      for (const field of fields) {
        for (const { name: what, json } of everywhere) {
          // A boolean is what force is.
          if (field === "force" && (json === "true" || json === "false")) continue
          const text = `{${JSON.stringify(good).slice(1, -1)}, "${field}": ${json}}`
          const [answer] = await database.call<Array<Record<string, unknown>>>(name, { events: `[${text}]` })
          // Some text is a topic, a key or a time, and any object a record: of an event that nobody queued.
          const isText = json.startsWith('"') && json !== '""' && json.length < 500
          const isTaken =
            (["topic", "key", "occurredAt"].includes(field) && isText) ||
            (field.endsWith("ecord") && json.startsWith("{"))
          assert.strictEqual(answer?.["outcome"], isTaken ? "unknown_event" : "invalid", `${field}: ${what}`)
          for (const id of ids) assert.notInclude(String(answer?.["message"]), id)
        }
      }
    })

    it("is answered as invalid instead of an event or a settlement, and affects no other", async () => {
      const known = foreignEvent()
      for (const { name, json } of everywhere) {
        const claimed = await database.call<Array<{ outcome: string }>>("outbox_claim", { events: `[${json}]` })
        assert.deepStrictEqual(
          claimed.map(({ outcome }) => outcome),
          ["invalid"],
          name
        )
        const settlements = `[${json}, {"eventId": "${known.eventId}", "token": 1, "outcome": "completed", "receipt": {}}]`
        const { settled } = await database.call<{ settled: Array<{ outcome: string }> }>("outbox_settle", {
          settlements
        })
        assert.deepStrictEqual(
          settled.map(({ outcome }) => outcome),
          ["invalid", "stale"],
          name
        )
      }
    })

    it.for(["eventId", "token", "outcome", "receipt"])("is answered as invalid by settle as %s", async (field) => {
      for (const { name, json } of everywhere) {
        // Objects are receipts, and whole numbers are tokens: of a claim that nobody has.
        if (field === "receipt" && json.startsWith("{")) continue
        if (field === "token" && json === "-1") continue
        const settlement = `{"eventId": "${randomUUID()}", "token": 1, "outcome": "completed", "receipt": {}, "${field}": ${json}}`
        const answer = await database.call<{ settled: Array<{ outcome: string }> }>("outbox_settle", {
          settlements: `[${settlement}]`
        })
        assert.strictEqual(answer.settled[0]?.outcome, "invalid", name)
      }
    })
  })

  it("is stored unchanged where any text is allowed", async () => {
    await using own = await openReadyDatabase()
    for (const { json } of everywhere.filter(
      ({ json }) => json.startsWith('"') && json.length < 1_000 && json !== '""'
    )) {
      const occurredAt = String(JSON.parse(json))
      const event = foreignEvent({ occurredAt })
      assert.include(await claimOf(own, event), { outcome: "claimed" })
      assert.include(await claimOf(own, event), { outcome: "in_flight" })
      assert.include(await claimOf(own, { ...event, occurredAt: `${occurredAt}.` }), { outcome: "payload_mismatch" })
      const stored = await own.row<{ occurred_at: string }>(
        "select outbox.body(q) ->> 'timestamp' as occurred_at from outbox.events q where event_id = $1",
        [event.eventId]
      )
      assert.strictEqual(stored.occurred_at, occurredAt)
      const read = await own.call<{ occurredAt: unknown }>("outbox_get_event", {
        topic: "pause-status",
        event_id: event.eventId
      })
      assert.isNull(read.occurredAt)
    }
  })
})
