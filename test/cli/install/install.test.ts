import { assert, describe, it } from "@effect/vitest"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Path } from "effect"
import { TestClock } from "effect/testing"
import { makeRepository } from "../../support/repositories.ts"

const noon = Date.UTC(2026, 10, 28, 12)
const migrationsIn = (files: Readonly<Record<string, string>>) =>
  Object.keys(files).filter((name) => name.startsWith("migrations/"))

const handler = "functions/pause-status-webhook-handler/index.mjs"

describe("install", () => {
  it.effect("adds migrations, functions and their tables, records what it wrote, and says what to run next", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(noon)
      const repository = yield* makeRepository()
      const { code, stderr, stdout } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 0, stderr)
      const files = yield* repository.files
      assert.deepStrictEqual(Object.keys(files).toSorted(), [
        ".pause-status.json",
        "config.toml",
        "functions/pause-notification-orchestrator/index.mjs",
        handler,
        "functions/pause-status-webhook-handler/management.mjs",
        "migrations/20261128115958_outbox_create_outbox.sql",
        "migrations/20261128115959_outbox_watch_mentors.sql",
        "migrations/20261128120000_outbox_close_private_schema.sql"
      ])
      assert.strictEqual(files[handler], "// handler\n")
      assert.match(files["config.toml"] ?? "", /^project_id[^]+\n\[functions\.pause-status-webhook-handler\]\n[^]+$/)
      const commands = [...stdout.matchAll(/^ {2}npx ([^<#\n]+)/gm)].map(([, command = ""]) => command.trim())
      assert.deepStrictEqual(commands, [
        "supabase login",
        "supabase link",
        "supabase db push --remote",
        "pause-status secrets",
        "supabase functions deploy pause-status-webhook-handler --use-api",
        "supabase functions deploy pause-notification-orchestrator --use-api"
      ])
      for (const line of `${stdout}${stderr}`.split("\n")) {
        if (!line.includes(repository.directory)) assert.isAtMost(line.length, 80, line)
      }
    })
  )

  it.effect("adds the function that mails with --mail, and keeps it from then on", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      assert.notInclude((yield* repository.files)["config.toml"], "send-email")
      const { stdout } = yield* repository.run("install", "--mail")
      assert.include(stdout, "npx supabase functions deploy send-email --use-api")
      const files = yield* repository.files
      assert.strictEqual(files["functions/send-email/index.mjs"], "// mail\n")
      assert.include(files["config.toml"], "[functions.send-email]")
      yield* repository.ship("supabase/functions/send-email/dist/index.mjs", "// newer mail\n")
      assert.include((yield* repository.run("upgrade")).stdout, "functions deploy send-email --use-api")
      assert.strictEqual((yield* repository.files)["functions/send-email/index.mjs"], "// newer mail\n")
      const uninstalled = yield* repository.run("uninstall")
      assert.include(uninstalled.stdout, "npx supabase functions delete send-email")
      assert.include(uninstalled.stdout, "secrets unset WEBHOOK_SECRETS RESEND_API_KEY MAIL_FROM")
      assert.notInclude((yield* repository.files)["config.toml"], "send-email")
    })
  )

  it.effect("leaves a function of yours alone that is called send-email", () =>
    Effect.gen(function* () {
      const own = "functions/send-email/index.ts"
      const repository = yield* makeRepository({ [own]: "// mine" })
      assert.strictEqual((yield* repository.run("install", "--yes")).code, 0)
      const { code, stderr } = yield* repository.run("install", "--mail")
      assert.strictEqual(code, 1)
      assert.include(stderr, "supabase/functions/send-email exists already")
      assert.deepStrictEqual(
        Object.keys(yield* repository.files).filter((name) => name.includes("send-email")),
        [own]
      )
    })
  )

  it.effect("changes nothing the second time, nor in a dry run", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const empty = yield* repository.files
      assert.include((yield* repository.run("install", "--yes", "--dry-run")).stdout, "dry run")
      assert.deepStrictEqual(yield* repository.files, empty)
      yield* repository.run("install", "--yes")
      const once = yield* repository.files
      yield* TestClock.adjust("1 day")
      const second = yield* repository.run("install", "--yes")
      assert.deepInclude(second, { code: 0, stderr: "" })
      assert.include(second.stdout, "Everything is in place already")
      assert.deepStrictEqual(yield* repository.files, once)
    })
  )

  it.effect("takes files for its own that Git has given CRLF, and removes them again", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository({ "config.toml": 'project_id = "somebodys"\r\n' })
      yield* repository.run("install", "--yes")
      const config = (yield* repository.files)["config.toml"] ?? ""
      assert.notMatch(config, /[^\r]\n/)
      for (const [name, text] of Object.entries(yield* repository.files))
        yield* repository.write(name, text.replaceAll(/\r?\n/g, "\r\n"))
      const checkedOut = yield* repository.files
      const second = yield* repository.run("install", "--yes")
      assert.include(second.stdout, "Everything is in place already")
      assert.deepStrictEqual(yield* repository.files, checkedOut)
      assert.strictEqual((yield* repository.run("uninstall", "--not-pushed", "--yes")).code, 0)
      assert.deepStrictEqual(yield* repository.files, { "config.toml": 'project_id = "somebodys"\r\n' })
    })
  )

  it.effect("leaves everything as it was if a file cannot be written", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      // Leads nowhere: it is not there to read, and it is in the way of a folder.
      const blocked = path.join(repository.directory, "supabase/functions/pause-notification-orchestrator")
      yield* fs.makeDirectory(path.dirname(blocked))
      yield* fs.symlink(path.join(repository.directory, "nowhere"), blocked)
      const before = yield* fs.readDirectory(path.join(repository.directory, "supabase"), { recursive: true })
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 2)
      assert.match(stderr, /Nothing was changed, because a file cannot be written: .*pause-notification-orchestrator/s)
      const after = yield* fs.readDirectory(path.join(repository.directory, "supabase"), { recursive: true })
      const files = (names: ReadonlyArray<string>) => names.filter((name) => /\.(?:sql|mjs|json|toml)$/.test(name))
      assert.deepStrictEqual(files(after), files(before))
      yield* fs.remove(blocked)
      assert.strictEqual((yield* repository.run("install", "--yes")).code, 0)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("puts its migrations after those of the project, also after one of tomorrow", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(noon)
      const repository = yield* makeRepository({ "migrations/20261129235959_own.sql": "select 1;\n" })
      yield* repository.run("install", "--yes")
      assert.deepStrictEqual(migrationsIn(yield* repository.files), [
        "migrations/20261129235959_own.sql",
        "migrations/20261130000000_outbox_create_outbox.sql",
        "migrations/20261130000001_outbox_watch_mentors.sql",
        "migrations/20261130000002_outbox_close_private_schema.sql"
      ])
    })
  )

  it.effect("takes no folder for a migration, even one whose name ends in .sql", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository({
        "migrations/99999999999999_old.sql/20250101000000_x.sql": "-- theirs\n"
      })
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 0, stderr)
    })
  )

  it.effect("refuses a project whose last migration sorts after every date", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository({ "migrations/9999_last.sql": "select 1;\n" })
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 1)
      assert.include(stderr, "9999_last.sql")
    })
  )

  it.effect("writes the table, its columns and the words into the migration that watches", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const flags = [
        "--table=staff.mentors",
        "--key=no",
        '--column=the "state"',
        "--active=on",
        "--paused=it's off, sick"
      ]
      assert.strictEqual((yield* repository.run("install", ...flags)).code, 0)
      const files = yield* repository.files
      const watch = Object.entries(files).find(([name]) => name.includes("watch_mentors"))?.[1] ?? ""
      assert.include(watch, "relation => 'staff.mentors'")
      assert.include(watch, "key => 'no'")
      assert.include(watch, `columns => array['the "state"']`)
      assert.include(watch, `'{"the \\"state\\"":{"active":["on"],"paused":["it''s off","sick"]}}'`)
      assert.include(watch, `new.no, ''status'', new."the ""state""")'`)
    })
  )

  it.effect("asks for what is not given, and offers the default", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const keys = [..."mentors", "enter", "enter", ..."state", "enter", "enter", ..."OFF", "enter", "y"]
      const ended = yield* repository.typed(keys, "install")
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.deepInclude(JSON.parse((yield* repository.files)[".pause-status.json"] ?? "").watched, {
        table: "public.mentors",
        key: "id",
        column: "state",
        active: ["active"],
        paused: ["OFF"]
      })
    })
  )

  it.effect("changes nothing if the plan is declined", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const before = yield* repository.files
      const ended = yield* repository.typed([...Array.from({ length: 5 }, () => "enter"), "n"], "install")
      assert.deepInclude(ended, { code: 0, stdout: "Nothing was changed.\n" })
      assert.deepStrictEqual(yield* repository.files, before)
    })
  )

  it.effect.each<readonly [what: string, flags: ReadonlyArray<string>, says: RegExp]>([
    ["no table, and nobody to ask", [], /Which table .+--table.+--yes/s],
    ["a table that is no name", ["--table=drop table x"], /public\."Mentors"/],
    ["no word for paused", ["--table=mentors", "--paused= , "], /paused/],
    ["a word with two meanings", ["--table=mentors", "--paused=off,active"], /active cannot mean both/]
  ])("exits with 2 and writes nothing for %s", ([, flags, says]) =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const before = yield* repository.files
      const { code, stderr } = yield* repository.run("install", ...flags)
      assert.strictEqual(code, 2)
      assert.match(stderr, says)
      assert.deepStrictEqual(yield* repository.files, before)
    })
  )

  it.effect("says which folder has no project", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.remove("config.toml")
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 2)
      assert.include(stderr, "npx supabase init")
    })
  )

  it.effect("answers a program in JSON", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      const { code, stderr, stdout } = yield* repository.run("install", "--yes", "--json")
      assert.deepStrictEqual([code, stderr], [0, ""])
      const { dryRun, next, steps } = JSON.parse(stdout)
      assert.isFalse(dryRun)
      assert.include(next, "npx supabase db push --remote")
      assert.deepInclude(steps, { path: `supabase/${handler}`, action: "add", needsYou: false })
    })
  )
})

describe("install, and what was changed by hand", () => {
  it.effect("keeps a changed migration and a changed function, and says so", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      const [migration = ""] = migrationsIn(yield* repository.files)
      yield* repository.write(migration, "-- mine")
      yield* repository.write(handler, "// mine")
      const before = yield* repository.files
      const { code, stdout } = yield* repository.run("install")
      assert.strictEqual(code, 0)
      assert.include(stdout, `keep     supabase/${migration}\n           was changed by hand`)
      assert.include(stdout, `keep     supabase/${handler}\n           was changed by hand`)
      assert.deepStrictEqual(yield* repository.files, before)
    })
  )

  it.effect("restores a deleted function, but not a deleted migration", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      const [migration = ""] = migrationsIn(yield* repository.files)
      yield* repository.remove(migration)
      yield* repository.remove(handler)
      yield* repository.run("install")
      const files = yield* repository.files
      assert.notProperty(files, migration)
      assert.property(files, handler)
    })
  )

  it.effect("leaves your function of the same name alone, and says so", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository({ [handler]: "// of somebody" })
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 1)
      assert.include(stderr, "was not created by this command")
      assert.strictEqual((yield* repository.files)[handler], "// of somebody")
    })
  )

  it.effect("leaves a function's table as it is, and says what it lacks", () =>
    Effect.gen(function* () {
      const table = "[functions.pause-status-webhook-handler]\nverify_jwt = true\n"
      const repository = yield* makeRepository({ "config.toml": table })
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 1)
      assert.include(stderr.replaceAll(/\s+/g, " "), "must have: verify_jwt = false, entrypoint = ")
      const text = (yield* repository.files)["config.toml"] ?? ""
      assert.isTrue(text.startsWith(table))
      assert.include(text, "[functions.pause-notification-orchestrator]")
    })
  )

  it.effect("refuses if the manifest is lost or unreadable", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      yield* repository.write(".pause-status.json", "{}")
      assert.include((yield* repository.run("install", "--yes")).stderr, "cannot be read")
      yield* repository.remove(".pause-status.json")
      const { code, stderr } = yield* repository.run("install", "--yes")
      assert.strictEqual(code, 1)
      assert.include(stderr.replaceAll(/\s+/g, " "), "creates the schema outbox already")
    })
  )
})

describe("install with other words", () => {
  const watches = (files: Readonly<Record<string, string>>) =>
    Object.entries(files).filter(([name]) => name.endsWith("watch_mentors.sql"))

  it.effect("adds a migration, because the first may be applied somewhere, and one that checks the table", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      const before = yield* repository.files
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* repository.run("install", "--paused=away")).code, 0)
      const after = yield* repository.files
      assert.deepStrictEqual(
        migrationsIn(after)
          .slice(migrationsIn(before).length)
          .map((name) => name.replace(/^\D+\d+_/, "")),
        ["outbox_check_mentors.sql", "outbox_watch_mentors.sql"]
      )
      assert.include(watches(after).at(-1)?.[1] ?? "", "away")
      assert.strictEqual(watches(after)[0]?.[1], watches(before)[0]?.[1])
      assert.include((yield* repository.run("install")).stdout, "Everything is in place already")
    })
  )

  it.effect("changes the first one in place with --not-pushed, unless it was changed by hand", () =>
    Effect.gen(function* () {
      const repository = yield* makeRepository()
      yield* repository.run("install", "--yes")
      assert.strictEqual((yield* repository.run("install", "--paused=away", "--not-pushed")).code, 0)
      const [[name = "", text = ""] = [], ...others] = watches(yield* repository.files)
      assert.isEmpty(others)
      assert.include(text, "away")
      yield* repository.write(name, "-- mine")
      assert.strictEqual((yield* repository.run("install", "--paused=gone", "--not-pushed")).code, 1)
      assert.strictEqual((yield* repository.files)[name], "-- mine")
    })
  )
})
