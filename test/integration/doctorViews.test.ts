import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { randomUUID } from "node:crypto"
import { afterAll, beforeAll } from "vitest"
import { Database } from "../../cli/Database.ts"
import { canary } from "../../cli/doctor/Canary.ts"
import { examined, sourcesOf, uncheckedIn, wrongIn } from "../support/doctor.ts"
import { pauseStatus } from "../support/pauseStatus.ts"
import {
  createMentor,
  type Database as Session,
  eventually,
  openDatabase,
  type Pipeline,
  startPipeline
} from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"

const mentors = "public.peer_mentor_profiles"

let pipeline: Pipeline
let admin: Session
beforeAll(async () => {
  pipeline = await startPipeline()
  admin = openDatabase(pipeline.stack.adminUrl)
  await createMentor(pipeline.database)
})
afterAll(async () => {
  await admin?.[Symbol.asyncDispose]()
  await pipeline?.[Symbol.asyncDispose]()
})

const run = (statement: string, database = pipeline.database) => Effect.promise(() => database.rows(statement))

describe("doctor with only some of its sources", () => {
  it.live("finds that the function is of another version", () => {
    const renamed: typeof fetch = async (input, init) => {
      const response = await fetch(input, init)
      const text = await response.text()
      return new Response(text.replace(/"version":"[\d.]+"/, '"version":"0.0.9"'), response)
    }
    return Effect.gen(function* () {
      const found = wrongIn(yield* Effect.provideService(examined(pipeline.stack), FetchHttpClient.Fetch, renamed))
      assert.deepStrictEqual(Object.keys(found), ["function version"])
      assert.match(String(found["function version"]), /is version 0\.0\.9.*functions deploy/)
    })
  })

  it.live("with only the URL and the key finds what can be seen from there, and says what the rest needs", () =>
    Effect.gen(function* () {
      const { apiUrl, serviceKey } = pipeline.stack
      const healthy = yield* examined({ apiUrl, serviceKey })
      assert.deepStrictEqual(wrongIn(healthy), {})
      assert.deepStrictEqual(
        uncheckedIn(healthy),
        Object.fromEntries(
          [
            "postgres",
            "extensions",
            "migrations",
            "declarations",
            "words",
            "coordinators",
            "same project",
            "function url",
            "secrets",
            "clocks",
            "grants",
            "search path",
            "jit",
            "growth"
          ].map((name) => [name, "--database-url"])
        )
      )
      yield* run(`alter table ${mentors} disable trigger outbox_pause_status_update`)
      const found = yield* examined({ apiUrl, serviceKey }).pipe(
        Effect.ensuring(run(`alter table ${mentors} enable trigger outbox_pause_status_update`))
      )
      assert.deepStrictEqual(Object.keys(wrongIn(found)), ["triggers"])
    })
  )

  it.live("with only the URL and the key finds that Vault lacks a secret", () =>
    Effect.gen(function* () {
      const { apiUrl, serviceKey } = pipeline.stack
      yield* run("update vault.secrets set name = 'gone' where name = 'outbox_webhook_secret'", admin)
      const found = yield* examined({ apiUrl, serviceKey }).pipe(
        Effect.ensuring(run("update vault.secrets set name = 'outbox_webhook_secret' where name = 'gone'", admin))
      )
      assert.deepStrictEqual(wrongIn(found), {
        vault: "Vault has no usable outbox_webhook_secret. → Run: npx pause-status secrets"
      })
    })
  )

  it.live("with a foreign key says so", () =>
    Effect.gen(function* () {
      const { apiUrl } = pipeline.stack
      const found = wrongIn(yield* examined({ apiUrl, serviceKey: "sb_secret_of_nobody" }))
      assert.deepStrictEqual(Object.keys(found), ["function", "data api"])
      for (const text of Object.values(found)) assert.match(text, /401.*Give a secret key of this project/)
      const withDatabase = yield* examined({ ...pipeline.stack, serviceKey: "sb_secret_of_nobody" })
      assert.deepStrictEqual(Object.keys(wrongIn(withDatabase)), ["function", "data api"])
      assert.sameMembers(Object.keys(uncheckedIn(withDatabase)), ["function version", "same project", "orchestrator"])
    })
  )

  it.live("with only the database checks deliveries, but not what only the key shows", () =>
    Effect.gen(function* () {
      const findings = yield* examined({ databaseUrl: pipeline.stack.databaseUrl })
      assert.deepStrictEqual(wrongIn(findings), {})
      assert.sameMembers(Object.keys(uncheckedIn(findings)), [
        "function version",
        "function",
        "same project",
        "orchestrator",
        "data api"
      ])
    })
  )

  it.live("finds that the database is another project's", () =>
    Effect.gen(function* () {
      const found = wrongIn(yield* examined({ ...pipeline.stack, databaseUrl: sharedStack().databaseUrl }))
      assert.match(String(found["same project"]), /not the one of --database-url/)
      assert.match(String(found["function url"]), /Vault sends pause-status to/)
    })
  )

  it.live("finds that the database has no outbox", () =>
    Effect.gen(function* () {
      const name = `empty_${randomUUID().slice(0, 8)}`
      yield* run(`create database ${name} owner postgres`, admin)
      const url = new URL(pipeline.stack.databaseUrl)
      url.pathname = `/${name}`
      const found = yield* examined({ ...pipeline.stack, databaseUrl: url.href }).pipe(
        Effect.ensuring(run(`drop database ${name}`, admin))
      )
      assert.deepStrictEqual(Object.keys(wrongIn(found)), ["migrations"])
      assert.match(String(wrongIn(found)["migrations"]), /not installed.*install.*db push --remote/)
    })
  )
})

describe("the command", () => {
  const argsOf = () => {
    const { apiUrl, databaseUrl, serviceKey } = pipeline.stack
    return ["doctor", "--database-url", databaseUrl, "--url", `${apiUrl}/`, "--key", serviceKey]
  }

  it.live("prints a line for each check, within 80 columns, and exits with 0", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* pauseStatus(...argsOf(), "--canary")
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.match(stdout, /^ok {5}postgres {10}PostgreSQL 1\d/)
      assert.match(stdout, /^ok {5}canary {12}pause notified after/m)
      assert.match(stdout, /\n26 checks: 26 ok, 0 wrong, 0 not checked\.\n$/)
      for (const line of stdout.split("\n")) assert.isAtMost(line.length, 80, line)
    })
  )

  it.live("says what to do, and exits with 1; with --json for programs", () =>
    Effect.gen(function* () {
      yield* run("grant usage on schema outbox to anon")
      const [text, json] = yield* Effect.all([pauseStatus(...argsOf()), pauseStatus("--json", ...argsOf())]).pipe(
        Effect.ensuring(run("revoke usage on schema outbox from anon"))
      )
      assert.include(
        text.stdout,
        "wrong  grants            anon may enter the schema outbox.\n       → Run: revoke all"
      )
      assert.deepStrictEqual([text.code, json.code], [1, 1])
      const { findings, ok } = JSON.parse(json.stdout)
      assert.isFalse(ok)
      assert.deepStrictEqual(
        findings.filter(({ result }: { result: string }) => result !== "ok"),
        [
          {
            check: "grants",
            result: "wrong",
            problems: [
              {
                detail: "anon may enter the schema outbox.",
                whatToDo: "Run: revoke all on schema outbox from public, anon"
              }
            ]
          }
        ]
      )
    })
  )
})

describe("the database", () => {
  it.live("is only asked read-only queries", () =>
    Effect.gen(function* () {
      const { read, rows } = yield* Database
      const failed = yield* Effect.flip(read(Schema.Struct({}), "delete from outbox.alerts returning kind"))
      assert.strictEqual(failed.code, "25006")
      assert.deepStrictEqual(yield* read(Schema.Struct({ one: Schema.Int }), "select 1 as one"), [{ one: 1 }])
      assert.deepStrictEqual(
        yield* rows(Schema.Struct({ off: Schema.String }), "select current_setting('transaction_read_only') as off"),
        [{ off: "off" }]
      )
    }).pipe(Effect.provide(Database.layer(Redacted.make(pipeline.stack.databaseUrl))))
  )

  it.live("must be asked as role postgres, otherwise the command exits with 2", () =>
    Effect.gen(function* () {
      const url = new URL(pipeline.stack.databaseUrl)
      url.username = "authenticator"
      const { code, stderr } = yield* pauseStatus("doctor", "--database-url", url.href)
      assert.strictEqual(code, 2)
      assert.match(stderr, /permission denied for schema outbox[\s\S]*role postgres/)
    })
  )
})

describe("the canary", () => {
  const traces = `
    select (select count(*) from ${mentors})::int as mentors, (select count(*) from public.coordinators)::int as coordinators,
      (select count(*) from public.notifications)::int as notifications, (select count(*) from outbox.events)::int as events,
      (select count(*) from public.mentor_coordinators)::int as pairs, (select count(*) from outbox.keys)::int as keys`
  const counted = Effect.promise(() => pipeline.database.rows(traces))
  const flown = (within?: "2 seconds") =>
    Effect.provide(canary(within), sourcesOf({ databaseUrl: pipeline.stack.databaseUrl }))

  it.live("is paused and resumed, both are notified, and nothing is left", () =>
    Effect.gen(function* () {
      const before = yield* counted
      const { verdict } = yield* flown()
      assert.strictEqual(verdict._tag, "Ok", JSON.stringify(verdict))
      assert.match(
        verdict._tag === "Ok" ? verdict.seen : "",
        /^pause notified after \d+\sms, resume notified after \d+\sms$/
      )
      assert.deepStrictEqual(yield* counted, before)
    })
  )

  it.live("says what it waits for if nobody is notified, and nothing is left", () =>
    Effect.gen(function* () {
      const before = yield* counted
      yield* Effect.promise(() => pipeline.stack.services.handler.stop())
      const { verdict } = yield* flown("2 seconds").pipe(
        Effect.ensuring(Effect.promise(() => pipeline.stack.services.handler.start()))
      )
      const text = verdict._tag === "Wrong" ? verdict.wrong.map(({ detail }) => detail).join() : verdict._tag
      assert.match(text, /pause is pending after 2s/)
      assert.deepStrictEqual(yield* counted, before)
    })
  )

  it.live("is removed when it is interrupted", () =>
    Effect.gen(function* () {
      const before = yield* counted
      yield* Effect.promise(() => pipeline.stack.services.handler.stop())
      yield* flown().pipe(
        Effect.timeoutOption("2 seconds"),
        Effect.ensuring(Effect.promise(() => pipeline.stack.services.handler.start()))
      )
      assert.deepStrictEqual(yield* counted, before)
    })
  )

  it.live("says what is left if its pause is still being handled", () =>
    Effect.gen(function* () {
      const { orchestrator } = pipeline.stack.services
      yield* Effect.promise(() => orchestrator.kill("SIGSTOP"))
      const { verdict } = yield* flown("2 seconds").pipe(
        Effect.ensuring(Effect.promise(() => orchestrator.kill("SIGCONT")))
      )
      const [pause, stays] = verdict._tag === "Wrong" ? verdict.wrong : []
      assert.match(String(pause?.detail), /pause is processing after 2s/)
      assert.match(String(stays?.detail), /is still being handled/)
      const [, erase = ""] = /run: (select outbox\.erase\('[0-9a-f-]{36}'\));/.exec(String(stays?.cure)) ?? []
      yield* Effect.promise(() =>
        eventually("the event is erased once it is settled", async () => {
          const [row] = await pipeline.database.rows<{ erase: { outcome: string } }>(erase)
          return row?.erase.outcome === "erased" || undefined
        })
      )
      yield* run("delete from public.notifications")
    })
  )

  it.live("has a value for each column that must not be null", () =>
    Effect.gen(function* () {
      const before = yield* counted
      const columns = [
        "name varchar(8)",
        "hours numeric(3, 1)",
        "since date",
        "is_new boolean",
        "tags text[]",
        "extra jsonb"
      ]
      const each = (change: (column: string) => string) =>
        run(`alter table ${mentors} ${columns.map(change).join(", ")}`)
      yield* each((column) => `add column ${column}`)
      yield* run(`update ${mentors} set name = '', hours = 1, since = now(), is_new = false, tags = '{}', extra = '{}'`)
      const nameOf = (column: string) => column.split(" ")[0]
      yield* each((column) => `alter column ${nameOf(column)} set not null`)
      const { verdict } = yield* flown().pipe(Effect.ensuring(each((column) => `drop column ${nameOf(column)}`)))
      assert.strictEqual(verdict._tag, "Ok", JSON.stringify(verdict))
      assert.deepStrictEqual(yield* counted, before)
    })
  )

  it.live("leaves no mail behind where notifications are mailed", () =>
    Effect.gen(function* () {
      const before = yield* counted
      yield* run("select outbox.mail_notifications(true)")
      const { verdict } = yield* flown().pipe(Effect.ensuring(run("select outbox.mail_notifications(false)")))
      assert.strictEqual(verdict._tag, "Ok", JSON.stringify(verdict))
      assert.deepStrictEqual(yield* counted, before)
    })
  )

  it.live("is not inserted into a table that wants more, which it names", () =>
    Effect.gen(function* () {
      const before = yield* counted
      yield* run(`alter table ${mentors} add column team text not null default 'x' check (team = 'x')`)
      yield* run(`alter table ${mentors} alter column team drop default`)
      const { verdict } = yield* flown().pipe(Effect.ensuring(run(`alter table ${mentors} drop column team`)))
      assert.match(
        verdict._tag === "Wrong" ? String(verdict.wrong[0]?.detail) : verdict._tag,
        /cannot be inserted.*team/
      )
      assert.deepStrictEqual(yield* counted, before)
    })
  )
})
