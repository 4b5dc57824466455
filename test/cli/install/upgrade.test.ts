import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { makeRepository } from "../../support/repositories.ts"

const handler = "functions/pause-status-webhook-handler/index.mjs"
const management = "functions/pause-status-webhook-handler/management.mjs"
const built = (path: string) => `supabase/${path.replace(/\/(?=[^/]+$)/, "/dist/")}`

describe("upgrade", () => {
  it.effect("adds new migrations after all others, and replaces the functions", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 10, 28, 12))
      const repository = yield* makeRepository()
      yield* repository.run("install", "--table=mentors", "--paused=away")
      yield* repository.write("migrations/20261201080000_own.sql", "select 1;\n")
      yield* repository.ship("supabase/migrations/20270101000100_add_column.sql", "-- new\n")
      yield* repository.ship(built(handler), "// newer handler\n")
      const before = yield* repository.files
      yield* TestClock.setTime(Date.UTC(2026, 11, 24, 18))
      const { code, stdout } = yield* repository.run("upgrade")
      assert.strictEqual(code, 0)
      assert.include(stdout, "npx supabase db push --remote")
      assert.notInclude(stdout, "supabase link")
      const after = yield* repository.files
      const added = Object.keys(after).filter((name) => !(name in before))
      assert.deepStrictEqual(added, ["migrations/20261224180000_outbox_add_column.sql"])
      const { ".pause-status.json": _, [handler]: text, ...others } = after
      assert.strictEqual(text, "// newer handler\n")
      for (const [name, text] of Object.entries(others))
        if (name in before) assert.strictEqual(text, before[name], name)
      assert.include((yield* repository.run("upgrade")).stdout, "Everything is in place already")
    })
  )

  it.effect("keeps a function that was changed by hand, and says so if the release has another one", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      yield* repository.write(handler, "// mine")
      assert.strictEqual((yield* repository.run("upgrade")).code, 0)
      yield* repository.ship(built(handler), "// newer handler\n")
      const { code, stdout } = yield* repository.run("upgrade")
      assert.strictEqual(code, 1)
      assert.include(stdout.replaceAll(/\s+/g, " "), "delete it and run this again")
      assert.strictEqual((yield* repository.files)[handler], "// mine")
      yield* repository.remove(handler)
      assert.strictEqual((yield* repository.run("upgrade")).code, 0)
      assert.strictEqual((yield* repository.files)[handler], "// newer handler\n")
    })
  )

  it.effect("removes a file of a function that the release no longer has, unless it was changed by hand", () =>
    Effect.gen(function* () {
      for (const [text, isKept] of [
        ["// management\n", false],
        ["// mine", true]
      ] as const) {
        const repository = yield* makeRepository()
        yield* repository.run("install", "--yes")
        yield* repository.write(management, text)
        yield* repository.unship(built(management))
        yield* repository.run("upgrade")
        const files = yield* repository.files
        assert.strictEqual(management in files, isKept)
        assert.strictEqual(management in JSON.parse(files[".pause-status.json"] ?? "").files, isKept)
      }
    })
  )

  it.effect("of a project in which nothing is installed says so", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const { code, stderr } = yield* repository.run("upgrade")
      assert.strictEqual(code, 2)
      assert.include(stderr, "npx pause-status install")
    })
  )

  it.effect("of an incomplete package says so", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      yield* repository.unship("supabase/functions")
      const { code, stderr } = yield* repository.run("upgrade")
      assert.strictEqual(code, 2)
      assert.include(stderr, "npm run build")
    })
  )
})

describe("uninstall", () => {
  it.effect("removes functions and their tables, keeps the migrations and adds one that undoes them", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const config = (yield* repository.files)["config.toml"] ?? ""
      yield* repository.run("install", "--yes")
      const before = yield* repository.files
      yield* TestClock.adjust("1 day")
      const { code, stdout } = yield* repository.run("uninstall")
      assert.strictEqual(code, 0)
      assert.include(stdout, "npx supabase functions delete pause-status-webhook-handler")
      const files = yield* repository.files
      const [undoes = "", ...others] = Object.keys(files).filter((name) => !(name in before))
      assert.match(undoes, /_outbox_uninstall\.sql$/)
      assert.isEmpty(others)
      assert.deepStrictEqual(
        Object.keys(files).filter((name) => !name.startsWith("migrations/")),
        [".pause-status.json", "config.toml"]
      )
      assert.strictEqual(files["config.toml"]?.trimEnd(), config.trimEnd())
      assert.include((yield* repository.run("uninstall")).stdout, "already uninstalled")
    })
  )

  it.effect("leaves only what was changed by hand with --not-pushed", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository({ "migrations/20200101000000_own.sql": "select 1;\n" })
      const before = yield* repository.files
      yield* repository.run("install", "--yes")
      assert.strictEqual((yield* repository.run("uninstall", "--not-pushed")).code, 0)
      assert.deepStrictEqual(Object.keys(yield* repository.files), Object.keys(before))
      yield* repository.run("install", "--yes")
      yield* repository.write(handler, "// mine")
      assert.strictEqual((yield* repository.run("uninstall", "--not-pushed")).code, 1)
      assert.deepStrictEqual(Object.keys(yield* repository.files), [...Object.keys(before), handler].toSorted())
    })
  )

  it.effect("lets a later install start again, after the migration that undoes the first", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      yield* TestClock.adjust("1 day")
      yield* repository.run("uninstall")
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* repository.run("install")).code, 0)
      const names = Object.keys(yield* repository.files).filter((name) => name.startsWith("migrations/"))
      const uninstalled = names.findIndex((name) => name.endsWith("_uninstall.sql"))
      assert.deepStrictEqual(
        names.slice(uninstalled + 1).map((name) => name.replace(/^\D+\d+_/, "")),
        ["outbox_create_outbox.sql", "outbox_watch_mentors.sql", "outbox_close_private_schema.sql"]
      )
    })
  )
})
