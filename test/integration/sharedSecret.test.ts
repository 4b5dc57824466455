import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type Cli, openCli } from "../support/cli.ts"
import { PROJECT, startManagementApi } from "../support/managementApi.ts"
import { pauseStatus } from "../support/pauseStatus.ts"
import { type Database, openDatabase } from "../support/sql.ts"

const main = join(import.meta.dirname, "../../cli/main.ts")
const url = `https://${PROJECT}.supabase.co/functions/v1/pause-status-webhook-handler/api/v1/webhooks/pause-status`
const secret = /^whsec_[A-Za-z0-9+/]{43}=$/

let cli: Cli
let database: Database

beforeAll(async () => {
  cli = await openCli("new")
  await mkdir(join(cli.directory, "tmp"))
  database = await openDatabase()
})
afterAll(async () => {
  await database?.[Symbol.asyncDispose]()
  await cli?.[Symbol.asyncDispose]()
})

const vault = async () => {
  const rows = await database.rows<{ name: string; value: string }>(
    "select name, decrypted_secret as value from vault.decrypted_secrets where name like 'outbox_%' order by name"
  )
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

const emptyVault = () => database.rows("delete from vault.secrets")

describe("secrets, by a connection and a file", () => {
  const file = () => join(cli.directory, "functions.env")
  const run = (...flags: ReadonlyArray<string>) =>
    Effect.runPromise(
      pauseStatus(
        "secrets",
        cli.directory,
        `--database-url=${database.url}`,
        `--function-url=${url}`,
        `--functions-env=${file()}`,
        ...flags
      )
    )
  const inFile = async () => /^WEBHOOK_SECRETS="(.*)"$/m.exec(await readFile(file(), "utf8"))?.[1]?.split(" ") ?? []

  it("makes a secret, stores it on both sides, and a second run changes nothing", async () => {
    await emptyVault()
    await writeFile(file(), 'OTHER="kept"\n', { mode: 0o600 })
    assert.strictEqual((await run("--dry-run")).code, 0)
    assert.deepStrictEqual(await vault(), {})
    for (const _ of ["once", "twice"]) {
      const { code, stderr } = await run()
      assert.strictEqual(code, 0, stderr)
      const [made = "", ...others] = await inFile()
      assert.match(made, secret)
      assert.isEmpty(others)
      assert.deepStrictEqual(await vault(), { outbox_function_url: url, outbox_webhook_secret: made })
      assert.notInclude(stderr, made)
    }
    assert.match(await readFile(file(), "utf8"), /^OTHER="kept"\nWEBHOOK_SECRETS=".+"\n$/)
    assert.strictEqual((await stat(file())).mode & 0o777, 0o600)
  })

  it("rotates in two steps, and forgets the old one in the second", async () => {
    const [old] = await inFile()
    assert.include((await run("--rotate")).stdout, "--retire")
    const [fresh = "", ...others] = await inFile()
    assert.match(fresh, secret)
    assert.deepStrictEqual(others, [old])
    assert.strictEqual((await vault())["outbox_webhook_secret"], `${fresh} ${old}`)
    assert.strictEqual((await run("--rotate")).code, 1)
    assert.strictEqual((await run("--retire")).code, 0)
    assert.deepStrictEqual(await inFile(), [fresh])
    assert.strictEqual((await vault())["outbox_webhook_secret"], fresh)
  })

  it("gives the function a new secret first, and takes an old one from Postgres first", async () => {
    const nowhere = `--functions-env=${join(cli.directory, "no/such/folder")}`
    const failing = (flag: string) =>
      Effect.runPromise(
        pauseStatus("secrets", cli.directory, `--database-url=${database.url}`, `--function-url=${url}`, nowhere, flag)
      )
    const before = await vault()
    assert.strictEqual((await failing("--rotate")).code, 2)
    assert.deepStrictEqual(await vault(), before)
    await run("--rotate")
    const [fresh] = await inFile()
    assert.strictEqual((await failing("--retire")).code, 2)
    assert.strictEqual((await vault())["outbox_webhook_secret"], fresh)
    assert.strictEqual((await run()).code, 0)
    assert.deepStrictEqual(await inFile(), [fresh])
  })

  it("replaces a foreign URL in Vault, and says so", async () => {
    await database.rows(
      "select vault.update_secret(id, 'https://old.example') from vault.secrets where name like '%url'"
    )
    assert.include((await run()).stderr.replaceAll(/\s+/g, " "), "instead of https://old.example")
    assert.strictEqual((await vault())["outbox_function_url"], url)
  })

  it("says what is wrong with its flags, with a database that does not answer, and with one without Vault", async () => {
    const failing = async (...args: ReadonlyArray<string>) => {
      const { code, stderr } = await Effect.runPromise(pauseStatus("secrets", cli.directory, ...args))
      assert.strictEqual(code, 2)
      return stderr.replaceAll(/\s+/g, " ")
    }
    assert.include(await failing(), "npx supabase link")
    assert.include(await failing("--rotate", "--retire"), "exclude each other")
    const target = ["--function-url=https://a.example", `--functions-env=${file()}`]
    assert.include(await failing("--database-url=x", `--functions-env=${file()}`), "Pass --function-url")
    assert.include(
      await failing("--function-url=a.example", `--project-ref=${PROJECT}`),
      "is not the URL of a function"
    )
    assert.include(await failing("--database-url=postgresql://127.0.0.1:1/x", ...target), "does not answer")
    await using bare = await openDatabase({ migrate: false })
    assert.include(await failing(`--database-url=${bare.url}`, ...target), "Vault refused")
  })
})

describe("secrets, for a linked project", () => {
  const temporary = () => join(cli.directory, "tmp")
  const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
    new Promise<{ readonly code: number; readonly output: string }>((resolve) =>
      execFile(
        process.execPath,
        [main, "secrets", cli.directory, ...args],
        {
          env: {
            ...cli.environment,
            ...env,
            TMPDIR: temporary(),
            PATH: `${join(import.meta.dirname, "../../node_modules/.bin")}:${cli.environment["PATH"]}`
          }
        },
        (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` })
      )
    )

  it("use the Supabase CLI's login, and leave no file with a secret", async () => {
    await using api = await startManagementApi(cli.directory, database.url)
    await emptyVault()
    const linked = await cli.run(["link", PROJECT], api.env)
    assert.strictEqual(linked.code, 0, linked.output)
    for (const _ of ["once", "twice"]) {
      const { code, output } = await run([], api.env)
      assert.strictEqual(code, 0, output)
      const kept = await vault()
      assert.strictEqual(api.secrets.get("WEBHOOK_SECRETS"), kept["outbox_webhook_secret"])
      assert.match(kept["outbox_webhook_secret"] ?? "", secret)
      assert.strictEqual(kept["outbox_function_url"], url)
    }
    const left = (await readdir(temporary())).filter((name) => name.startsWith("pause-status"))
    assert.deepStrictEqual(left, [])
  })

  it("repeat the Supabase CLI's error, if it refuses", async () => {
    await using api = await startManagementApi(cli.directory, database.url)
    const { code, output } = await run([`--project-ref=${PROJECT}`], { SUPABASE_PROFILE: api.env.SUPABASE_PROFILE })
    assert.strictEqual(code, 2)
    assert.match(output, /Access token not provided/)
    assert.include(output, "npx supabase login")
  })
})
