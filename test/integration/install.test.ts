import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { render } from "../../cli/install/render.ts"
import type { Watched } from "../../cli/install/Watched.ts"
import { HANDLER, ORCHESTRATOR, type Stack, startStack } from "../../local/stack.ts"
import { type Cli, openCli } from "../support/cli.ts"
import { patientEnv, unhurried } from "../support/patience.ts"
import { pauseStatus } from "../support/pauseStatus.ts"
import { type Database, eventually, openDatabase } from "../support/pipeline.ts"
import { openDatabase as openBare } from "../support/sql.ts"

const OWN = "20261001090000_create_mentors.sql"
const ownMigration = `
  create type public.mentor_state as enum ('ACTIVE', 'ON_LEAVE', 'SICK', 'RETIRED');
  create table public.mentors (
    mentor_no bigint generated always as identity primary key,
    state public.mentor_state not null default 'ACTIVE'
  );`
const words = ["--table=mentors", "--key=mentor_no", "--column=state", "--active=ACTIVE", "--paused=ON_LEAVE,SICK"]

let cli: Cli
let stack: Stack
let database: Database

const inProject = (...parts: ReadonlyArray<string>) => join(cli.directory, "supabase", ...parts)
const run = (...args: ReadonlyArray<string>) => Effect.runPromise(pauseStatus(...args))

const succeed = async (...args: ReadonlyArray<string>) => {
  const ended = await run(...args)
  assert.strictEqual(ended.code, 0, `${ended.stdout}${ended.stderr}`)
  return ended.stdout
}

const push = async () => {
  const { code, output } = await cli.run(["db", "push", "--yes", `--remote=${stack.databaseUrl}?sslmode=disable`])
  assert.strictEqual(code, 0, output)
  return output
}

/** The bundles as the stack looks for them, wherever they are installed. */
const linkFunctions = async () => {
  const functions = join(cli.directory, "functions")
  for (const name of [HANDLER, ORCHESTRATOR]) {
    await mkdir(join(functions, name), { recursive: true })
    await symlink(inProject("functions", name), join(functions, name, "dist"))
  }
  return functions
}

// A project of somebody's: a table and an enum of their own, pushed to a database that has nothing of ours.
beforeAll(async () => {
  cli = await openCli("new")
  await mkdir(inProject("migrations"))
  await writeFile(inProject("migrations", OWN), ownMigration)
  await succeed("install", cli.directory, ...words)
  const places = { functions: await linkFunctions(), migrations: inProject("migrations") }
  // As a function learns its secret: from the file that the command writes.
  const handlerPrelude = () => {
    const [, secret] =
      /="(.*)"/.exec(existsSync(inProject(".env")) ? readFileSync(inProject(".env"), "utf8") : "") ?? []
    return secret === undefined ? undefined : `Deno.env.set("WEBHOOK_SECRETS", "${secret}")`
  }
  stack = await startStack(
    {
      migrate: false,
      pacing: "fast",
      functionEnv: patientEnv,
      orchestratorEnv: patientEnv,
      handlerPrelude
    },
    places
  )
  database = openDatabase(stack.databaseUrl)
})
afterAll(async () => {
  await database?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
  await cli?.[Symbol.asyncDispose]()
})

const notificationsOf = (mentor: string) =>
  database.rows<{ transition: string; coordinator_id: string }>(
    "select transition, coordinator_id from public.notifications where mentor_id = $1 order by created_at",
    [mentor]
  )

const expectNotified = (mentor: string, ...transitions: ReadonlyArray<string>) =>
  eventually(`notifications ${transitions.join(", ")}`, async () => {
    const found = await notificationsOf(mentor)
    return found.map(({ transition }) => transition).join() === transitions.join() ? found : undefined
  })

const newMentor = async () => {
  const [row] = await database.rows<{ mentor_no: string }>("insert into mentors default values returning mentor_no")
  const coordinator = randomUUID()
  const mentor = row?.mentor_no ?? assert.fail("no mentor")
  await database.rows("insert into coordinators (id, name) values ($1, 'Ada')", [coordinator])
  await database.rows("insert into mentor_coordinators values ($1, $2)", [mentor, coordinator])
  return { mentor, coordinator }
}

const setState = (mentor: string, state: string) =>
  database.rows("update mentors set state = $2::mentor_state where mentor_no = $1", [mentor, state])

describe("an existing project with migrations, a bigint key and an enum of its own", () => {
  it("keeps its history: our migrations are pushed after its own", async () => {
    const files = (await readdir(inProject("migrations"))).toSorted()
    assert.strictEqual(files[0], OWN)
    assert.isTrue(files.slice(1).every((name) => /^\d{14}_outbox_\w+\.sql$/.test(name)))
    await push()
    await unhurried(stack.databaseUrl)
    const pushed = await database.rows<{ file: string }>(
      "select version || '_' || name || '.sql' as file from supabase_migrations.schema_migrations order by version"
    )
    assert.deepStrictEqual(
      pushed.map(({ file }) => file),
      files
    )
  })

  it("gets one secret for both sides, and a coordinator is notified once of each change", async () => {
    const output = await succeed(
      "secrets",
      cli.directory,
      `--database-url=${stack.databaseUrl}`,
      `--function-url=${stack.functionUrl}`,
      `--functions-env=${inProject(".env")}`
    )
    assert.include(output.replaceAll(/\s+/g, " "), "out of version control")
    await stack.services.handler.stop()
    await stack.services.handler.start()
    const { coordinator, mentor } = await newMentor()
    await setState(mentor, "ON_LEAVE")
    assert.deepStrictEqual(await expectNotified(mentor, "PAUSE"), [
      { transition: "PAUSE", coordinator_id: coordinator }
    ])
    await setState(mentor, "SICK")
    await setState(mentor, "ACTIVE")
    await expectNotified(mentor, "PAUSE", "RESUME")
  })

  it("is left alone by a second install", async () => {
    const before = await readFile(inProject(".pause-status.json"), "utf8")
    assert.include(await succeed("install", cli.directory), "Everything is in place already")
    assert.strictEqual(await readFile(inProject(".pause-status.json"), "utf8"), before)
    assert.match(await push(), /up to date/i)
  })

  it("watches other words after an install that names them, through a new migration", async () => {
    await succeed("install", cli.directory, "--paused=ON_LEAVE,SICK,RETIRED")
    assert.lengthOf(
      (await readdir(inProject("migrations"))).filter((name) => name.endsWith("_watch_mentors.sql")),
      2
    )
    await push()
    const { mentor } = await newMentor()
    await setState(mentor, "RETIRED")
    await expectNotified(mentor, "PAUSE")
  })

  const leftBehind = () =>
    database.rows<{ found: string }>(`
      select 'schema ' || nspname as found from pg_namespace where nspname = 'outbox'
      union all select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
      union all select 'job ' || jobname from cron.job
      union all select 'trigger ' || tgname from pg_trigger where tgrelid = 'mentors'::regclass and not tgisinternal
      union all select 'secret ' || name from vault.secrets`)

  it("is not uninstalled while an event waits, and then completely, with jobs and secrets", async () => {
    assert.isNotEmpty(await leftBehind())
    // What mails, alerts and traces add.
    await database.rows(`select vault.create_secret('x', name)
      from unnest(array['outbox_send_email_url', 'outbox_alert_secret', 'outbox_otlp_headers']) name`)
    // A notified event is settled a moment later. The handler stopped before that would leave it claimed.
    await eventually("every event is settled", async () => {
      const open = await database.rows("select from outbox.events where status <> 'completed'")
      return open.length === 0 ? true : undefined
    })
    await stack.services.handler.stop()
    const { mentor } = await newMentor()
    await setState(mentor, "SICK")
    await succeed("uninstall", cli.directory)
    const refused = await cli.run(["db", "push", "--yes", `--remote=${stack.databaseUrl}?sslmode=disable`])
    assert.include(refused.output, "not delivered yet: 1 event")
    assert.notStrictEqual(refused.code, 0)
    await database.rows("select outbox.resolve(event_id, 'test') from outbox.events where status = 'pending'")
    await push()
    assert.deepStrictEqual(await leftBehind(), [])
    await setState(mentor, "ACTIVE")
    assert.deepStrictEqual(await readdir(inProject("functions")), [])
    assert.notInclude(await readFile(inProject("config.toml"), "utf8"), "[functions.")
  })

  it("can be installed again after that", async () => {
    await succeed("install", cli.directory)
    await push()
    assert.isNotEmpty(await leftBehind())
    const { mentor } = await newMentor()
    await setState(mentor, "SICK")
    assert.lengthOf(await database.rows("select from outbox.events where key = $1", [mentor]), 1)
  })
})

describe("a table, a column or a word that does not exist", () => {
  it("is refused by the very first migration", async () => {
    await using bare = await openBare({ migrate: false })
    await bare.rows(ownMigration)
    const known = {
      table: "public.mentors",
      key: "mentor_no",
      column: "state",
      active: ["ACTIVE"],
      paused: ["SICK"]
    } as const
    const refusalOf = async (wrong: Partial<Watched>) => {
      const [check] = render([], { ...known, ...wrong })
      return bare.rows(check?.text ?? "").then(
        () => "nothing",
        ({ message }: Error) => message
      )
    }
    assert.strictEqual(await refusalOf({}), "nothing")
    assert.strictEqual(await refusalOf({ table: "private.mentors" }), "there is no table private.mentors")
    const columns = "its columns are mentor_no, state"
    assert.strictEqual(await refusalOf({ key: "id" }), `mentors has no column id or no column state: ${columns}`)
    assert.strictEqual(
      await refusalOf({ column: "it's" }),
      `mentors has no column mentor_no or no column it's: ${columns}`
    )
    assert.include(await refusalOf({ active: ["On", "ON"] }), "mentors.state is never On or ON: its words are ACTIVE,")
    await bare.rows(`
      create view everyone as select * from mentors;
      create table parts (mentor_no int8, state text) partition by list (state);
      create table away partition of parts for values in ('SICK');
      create table odd (mentor_no numeric, is_away boolean, details jsonb, state text, short varchar(3));
    `)
    for (const table of ["everyone", "parts", "away"])
      assert.include(await refusalOf({ table: `public.${table}` }), `${table} must be an ordinary table`)
    const odd = { table: "public.odd" }
    assert.include(await refusalOf(odd), "odd.mentor_no must be uuid, a whole number or text, but it is numeric")
    for (const [column, type] of [
      ["is_away", "boolean"],
      ["details", "jsonb"],
      ["short", "character varying(3)"]
    ] as const)
      assert.include(
        await refusalOf({ ...odd, key: "state", column }),
        `odd.${column} is never ACTIVE or SICK: its type is ${type}`
      )
  })

  it.each([
    [["--table=mentor"], "there is no table public.mentor"],
    [["--paused=PAUSED,SICK"], "mentors.state is never PAUSED: its words are ACTIVE, ON_LEAVE, SICK, RETIRED"]
  ])("%s is refused before anything is installed, and corrected in place", async (wrong, says) => {
    await using other = await openCli("new")
    await using bare = await openBare({ migrate: false })
    const pushTo = () => other.run(["db", "push", "--yes", `--remote=${bare.url}?sslmode=disable`])
    await mkdir(join(other.directory, "supabase/migrations"))
    await writeFile(join(other.directory, "supabase/migrations", OWN), ownMigration)
    const flags = words.filter((flag) => !wrong.some((other) => flag.startsWith(other.replace(/=.*/, "="))))
    await succeed("install", other.directory, ...flags, ...wrong)
    const refused = await pushTo()
    assert.notStrictEqual(refused.code, 0)
    assert.include(refused.output, says)
    assert.include(refused.output, "--not-pushed")
    assert.deepStrictEqual(await bare.rows("select from pg_namespace where nspname = 'outbox'"), [])
    await succeed("install", other.directory, ...words, "--not-pushed")
    const { code, output } = await pushTo()
    assert.strictEqual(code, 0, output)
    await bare.rows("insert into mentors default values; update mentors set state = 'SICK'")
    assert.lengthOf(await bare.rows("select from outbox.events"), 1)
  })
})
