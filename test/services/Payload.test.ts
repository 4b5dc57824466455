import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { InvalidPayload, MalformedBody, parseBody } from "../../src/services/Payload.ts"
import { validatePayload } from "../../src/topics/PauseStatus.ts"
import { bytesOf, dashboardUpdate, fixture, mentorId, outboxPause } from "../support/payloads.ts"

const { schema: _, table: __, ...bare } = outboxPause
const text = (value: string) => new TextEncoder().encode(value)

const pathsOf = (input: unknown) =>
  validatePayload(input).pipe(
    Effect.flip,
    Effect.map(({ issues }) => issues.map((issue) => issue.path.join(".")).toSorted())
  )

describe("parseBody", () => {
  it.each(["empty.json", "truncated.json", "invalid-utf8.json"])("%s is not JSON in UTF-8", (name) =>
    Effect.runPromise(
      Effect.gen(function* () {
        assert.instanceOf(yield* Effect.flip(parseBody(fixture(name))), MalformedBody)
      })
    )
  )

  it.effect.prop("reads back any JSON value", [Schema.Unknown], ([value]) =>
    Effect.gen(function* () {
      const json = JSON.stringify(value) ?? "null"
      assert.deepStrictEqual(yield* parseBody(text(json)), JSON.parse(json))
    })
  )

  it.effect("uses the last value of a repeated key, like Postgres", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* parseBody(text('{"status":"active","status":"paused"}')), { status: "paused" })
    })
  )
})

describe("validatePayload", () => {
  it.effect("accepts what the outbox and the dashboard send", () =>
    Effect.gen(function* () {
      for (const name of ["outbox-pause.json", "dashboard-pause.json", "dashboard-insert.json"]) {
        yield* Effect.flatMap(parseBody(fixture(name)), validatePayload)
      }
    })
  )

  it.effect("accepts what a topic's outbox sends, from any table", () =>
    Effect.gen(function* () {
      const ours = { ...bare, topic: "pause-status" }
      for (const payload of [ours, { ...ours, table: "mentors", schema: "crm" }]) {
        assert.deepInclude(yield* validatePayload(payload), { topic: "pause-status", event_id: outboxPause.event_id })
      }
    })
  )

  it.effect("lists every error at once, each with its path", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* pathsOf(yield* parseBody(fixture("everything-wrong.json"))), [
        "event_id",
        "old_record.status",
        "record.id",
        "record.status",
        "schema",
        "table",
        "timestamp",
        "version"
      ])
    })
  )

  it.each([
    ["a DELETE", { ...outboxPause, type: "DELETE", record: null }, ["record", "type"]],
    ["no type", { ...outboxPause, type: undefined }, ["type"]],
    ["a type in lower case", { ...outboxPause, type: "update" }, ["type"]],
    ["another table", { ...outboxPause, table: "coordinators" }, ["table"]],
    ["another schema", { ...outboxPause, schema: "private" }, ["schema"]],
    ["neither topic nor table", { ...bare, event_id: "first" }, ["event_id", "schema", "table"]],
    ["another topic", { ...outboxPause, topic: "order-created" }, ["topic"]],
    ["another topic of another table", { ...outboxPause, topic: "order-created", table: "orders" }, ["topic"]],
    ["a topic that is no text", { ...outboxPause, topic: 42 }, ["topic"]],
    [
      "another topic, and no status",
      { ...outboxPause, topic: "", record: { id: mentorId } },
      ["record.status", "topic"]
    ],
    ["no record", { ...outboxPause, record: null }, ["record"]],
    ["an empty id", { ...outboxPause, record: { id: "", status: "paused" } }, ["record.id"]],
    ["an id of 201 characters", { ...outboxPause, record: { id: "x".repeat(201), status: "paused" } }, ["record.id"]],
    ["no id", { ...outboxPause, record: { status: "paused" } }, ["record.id"]],
    ["an id that is a number", { ...outboxPause, record: { id: 42, status: "paused" } }, ["record.id"]],
    ["no status", { ...outboxPause, record: { id: mentorId } }, ["record.status"]],
    ["a status that is null", { ...outboxPause, record: { id: mentorId, status: null } }, ["record.status"]],
    ["an UPDATE with no old record", { ...outboxPause, old_record: null }, ["old_record"]],
    ["an UPDATE with no old status", { ...outboxPause, old_record: {} }, ["old_record.status"]],
    ["an INSERT with an old record", { ...outboxPause, type: "INSERT" }, ["old_record"]],
    ["an event id that is no uuid", { ...outboxPause, event_id: "first" }, ["event_id"]],
    ["a version of 0", { ...outboxPause, version: 0 }, ["version"]],
    ["a timestamp in words", { ...outboxPause, timestamp: "yesterday" }, ["timestamp"]],
    ["a JSON text", "paused", [""]],
    ["null", null, [""]],
    ["an array of what is no payload", [1], [""]]
  ] as const)("names the path of what is wrong: %s", (_, input, paths) =>
    Effect.runPromise(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* pathsOf(input), [...paths])
      })
    )
  )

  it.effect("ignores unknown keys, whatever they are called", () =>
    Effect.gen(function* () {
      const odd = '{"__proto__":{"status":"active"},"constructor":1,"toString":null,'
      const json = JSON.stringify(outboxPause).replaceAll("{", odd)
      const payload = yield* Effect.flatMap(parseBody(text(json)), validatePayload)
      assert.deepStrictEqual(payload, yield* validatePayload(outboxPause))
    })
  )

  it.effect("takes no status out of a prototype", () =>
    Effect.gen(function* () {
      const json = JSON.stringify(outboxPause).replace(
        '"old_record":{',
        '"old_record":{"__proto__":{"status":"active"},'
      )
      const input = yield* parseBody(text(json.replace(',"status":"active"}}', "}}")))
      assert.deepStrictEqual(yield* pathsOf(input), ["old_record.status"])
    })
  )

  it.effect.prop(
    "repeats no value of the payload in its messages",
    { key: Schema.Literals(["type", "table", "schema", "event_id", "version", "timestamp", "record", "old_record"]) },
    ({ key }) =>
      Effect.gen(function* () {
        const canary = "canary-7f3a"
        const wrong = { id: canary, status: { [canary]: canary }, [canary]: canary }
        for (const value of [canary, [canary], wrong]) {
          const { issues } = yield* Effect.flip(validatePayload({ ...outboxPause, [key]: value }))
          assert.isNotEmpty(issues)
          assert.notInclude(JSON.stringify(issues), canary)
        }
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("says of each issue what was expected", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(validatePayload({}))
      assert.instanceOf(error, InvalidPayload)
      assert.isTrue(
        error.issues.every((issue) => issue.message.startsWith("Expected") || issue.message === "Missing key")
      )
    })
  )

  it.effect("reads a time of change that is not text without complaint", () =>
    Effect.gen(function* () {
      const payload = yield* Effect.flatMap(
        parseBody(bytesOf(dashboardUpdate("active", "paused", 1_700_000_000))),
        validatePayload
      )
      assert.strictEqual(payload.record.updated_at, 1_700_000_000)
    })
  )
})
