import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Cli, openCli } from "../support/cli.ts"
import { PROJECT, startManagementApi } from "../support/managementApi.ts"
import { type Database, openDatabase } from "../support/sql.ts"

const root = join(import.meta.dirname, "../..")
const pages = ["docs/install.md", "README.md", "docs/runbook.md", "docs/mail.md"]

/** The commands of a page, from its blocks and its text, in the order in which a reader meets them. */
const commandsOf = (text: string): ReadonlyArray<string> => {
  const blocks = [...text.matchAll(/^[ \t]*(npx (?:pause-status|supabase) .*?)(?:\s+#.*)?$/gm)]
  const inText = [...text.matchAll(/`(npx (?:pause-status|supabase) [^`]+)`/g)]
  return [...blocks, ...inText].map(([, command = ""]) => command)
}

const documented = new Map<string, ReadonlyArray<string>>()
for (const page of pages) documented.set(page, commandsOf(await readFile(join(root, page), "utf8")))
const every = [...new Set([...documented.values()].flat())]

let cli: Cli
let database: Database
let api: Awaited<ReturnType<typeof startManagementApi>>

const inProject = (...parts: ReadonlyArray<string>) => join(cli.directory, "supabase", ...parts)

beforeAll(async () => {
  cli = await openCli("new")
  database = await openDatabase({ migrate: false })
  api = await startManagementApi(cli.directory, database.url)
  // As npm installs the two commands.
  const bin = join(cli.directory, "node_modules/.bin")
  await mkdir(bin, { recursive: true })
  await symlink(join(root, "node_modules/.bin/supabase"), join(bin, "supabase"))
  await writeFile(join(bin, "pause-status"), `#!/bin/sh\nexec "${process.execPath}" "${root}/cli/main.ts" "$@"\n`, {
    mode: 0o755
  })
  await mkdir(inProject("migrations"))
  await writeFile(
    inProject("migrations/20261001090000_create_mentors.sql"),
    "create table mentors (mentor_no bigint primary key, state text); insert into mentors values (1, 'ACTIVE');"
  )
})
afterAll(async () => {
  await api?.[Symbol.asyncDispose]()
  await database?.[Symbol.asyncDispose]()
  await cli?.[Symbol.asyncDispose]()
})

/** What the reader puts in, and a database on loopback in the place of the linked project's. */
const filledIn = (command: string): string =>
  command
    .replaceAll("<project-ref>", PROJECT)
    .replace(/^(npx supabase db push --remote)$/, `$1='${database.url}?sslmode=disable'`)
    .replace("--paused … ", "--paused ON_LEAVE ")
    .replace(/(pause-status doctor) .*/, `$1 --database-url "${database.url}"`)
    .replace(
      "--database-url <url> --function-url <url>",
      `--database-url ${database.url} --function-url https://a.example`
    )

const run = (command: string) =>
  new Promise<{ readonly code: number; readonly output: string }>((resolve) => {
    const env: Record<string, string> = {
      ...cli.environment,
      ...api.env,
      SUPABASE_YES: "1",
      npm_config_update_notifier: "false"
    }
    const path = [join(cli.directory, "node_modules/.bin"), join(root, "node_modules/.bin"), dirname(process.execPath)]
    execFile(
      "sh",
      ["-c", filledIn(command).replace(/^npx /, "")],
      { cwd: cli.directory, env: { ...env, PATH: [...path, env["PATH"]].join(":") } },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` })
    )
  })

const succeed = async (...commands: ReadonlyArray<string>) => {
  for (const command of commands) {
    assert.include(every, command, "is named in the docs")
    const { code, output } = await run(command)
    assert.strictEqual(code, 0, `${command}\n${output}`)
    tried.add(command)
  }
}

const tried = new Set<string>()
const doctor = every.find((command) => command.startsWith("npx pause-status doctor")) ?? ""
const deploy = ["pause-status-webhook-handler", "pause-notification-orchestrator"].map(
  (name) => `npx supabase functions deploy ${name} --use-api`
)

describe("the commands of the docs", () => {
  it("install and deploy, from an existing repository to a watched table", async () => {
    const install =
      "npx pause-status install --table public.mentors --key mentor_no --column state --active ACTIVE --paused ON_LEAVE,SICK"
    await succeed(install, "npx pause-status install")
    await succeed("npx supabase login", "npx supabase link <project-ref>", "npx supabase db push --remote")
    await succeed("npx pause-status secrets", ...deploy)
    await database.rows("update mentors set state = 'SICK'")
    assert.lengthOf(await database.rows("select from outbox.events"), 1)
    assert.lengthOf(api.uploads, 2)
    for (const { form, url } of api.uploads) {
      const folder = `supabase/functions/${url.searchParams.get("slug")}`
      const parts = (await form).getAll("file").filter((part) => typeof part !== "string")
      assert.deepStrictEqual(
        parts.map(({ name }) => name).toSorted(),
        (await readdir(join(cli.directory, folder))).map((name) => `${folder}/${name}`)
      )
      const metadata = JSON.parse(String((await form).get("metadata")))
      assert.deepInclude(metadata, { verify_jwt: false, entrypoint_path: `${folder}/index.mjs` })
    }
  })

  it("rotate the secret, and set it again", async () => {
    const secret = () => api.secrets.get("WEBHOOK_SECRETS")?.split(" ") ?? []
    const [old] = secret()
    await succeed("npx pause-status secrets --rotate")
    assert.strictEqual(secret()[1], old)
    await succeed("npx pause-status secrets --retire")
    assert.lengthOf(secret(), 1)
    assert.notStrictEqual(secret()[0], old)
    await succeed('npx supabase secrets set WEBHOOK_SECRETS="<new> <old>"')
    await succeed(
      "npx pause-status secrets --database-url <url> --function-url <url> --functions-env supabase/functions/.env"
    )
  })

  it("put other words into a migration that was refused", async () => {
    await succeed("npx pause-status install --paused … --not-pushed")
    const names = (await readdir(inProject("migrations"))).filter((name) => name.endsWith("watch_mentors.sql"))
    assert.lengthOf(names, 1)
    assert.notInclude(await readFile(inProject("migrations", names[0] ?? ""), "utf8"), "SICK")
  })

  it("add the function that mails", async () => {
    await succeed("npx pause-status install --mail", "npx supabase functions deploy send-email --use-api")
    await succeed('npx supabase secrets set RESEND_API_KEY=re_… MAIL_FROM="Mentoring <mentoring@your-domain.example>"')
    assert.strictEqual(api.uploads.at(-1)?.url.searchParams.get("slug"), "send-email")
    assert.strictEqual(api.secrets.get("MAIL_FROM"), "Mentoring <mentoring@your-domain.example>")
  })

  it("set the functions' other settings, and check the project", async () => {
    await succeed("npx supabase secrets set RESEND_API_KEY=re_…", "npx supabase secrets set ORCHESTRATOR=http")
    assert.strictEqual(api.secrets.get("ORCHESTRATOR"), "http")
    // No function runs at that address, so the doctor says what to do and exits 1.
    const { code, output } = await run(doctor)
    assert.strictEqual(code, 1, output)
    tried.add(doctor)
  })

  it("upgrade and uninstall", async () => {
    await succeed("npx pause-status upgrade")
    await database.rows("select outbox.resolve(event_id, 'test') from outbox.events where status = 'pending'")
    await succeed("npx pause-status uninstall", "npx supabase db push --remote")
    const names = ["pause-status-webhook-handler", "pause-notification-orchestrator", "send-email"]
    await succeed(...names.map((name) => `npx supabase functions delete ${name}`))
    await succeed("npx supabase secrets unset WEBHOOK_SECRETS", "npx supabase secrets unset RESEND_API_KEY MAIL_FROM")
    assert.deepStrictEqual(api.deleted, names)
    assert.isFalse(api.secrets.has("WEBHOOK_SECRETS"))
    assert.deepStrictEqual(await database.rows("select from pg_namespace where nspname = 'outbox'"), [])
  })

  it("were all run, except the one that made this folder", () => {
    assert.deepStrictEqual(
      every.filter((command) => !tried.has(command)),
      ["npx supabase init"]
    )
  })

  it("run by npm are scripts of this package", async () => {
    const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
    for (const page of pages) {
      const text = await readFile(join(root, page), "utf8")
      for (const [, name = ""] of text.matchAll(/\bnpm run ([\w:]+)/g)) assert.property(scripts, name, page)
    }
  })
})
