import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { migrate } from "../../local/postgres/migrate.ts"
import { type Cli, openCli } from "../support/cli.ts"
import { PROJECT, startManagementApi } from "../support/managementApi.ts"
import { openDatabase } from "../support/sql.ts"

const names = ["pause-notification-orchestrator", "pause-status-webhook-handler", "send-email"]

let cli: Cli

beforeAll(async () => {
  cli = await openCli()
})
afterAll(() => cli?.[Symbol.asyncDispose]())

const migrationFiles = async () => (await readdir(join(cli.directory, "supabase/migrations"))).toSorted()

describe("the Supabase CLI", () => {
  // It goes on to look for containers, which is not what is asked here.
  const complaint = /failed to read config|Invalid|Expected .+ at|WARN.*/

  it("accepts config.toml without a warning, and would report a mistake in it", async () => {
    const path = join(cli.directory, "supabase/config.toml")
    const config = await readFile(path, "utf8")
    assert.notMatch((await cli.run(["status"])).output, complaint)
    await writeFile(path, config.replace("verify_jwt = false", 'verify_jwt = "no"'))
    assert.match((await cli.run(["status"])).output, complaint)
    await writeFile(path, config)
  })

  it("pushes every migration to an empty database, and then finds nothing to do", async () => {
    await using database = await openDatabase({ migrate: false })
    const push = () => cli.run(["db", "push", "--yes", `--remote=${database.url}?sslmode=disable`])
    const first = await push()
    assert.strictEqual(first.code, 0, first.output)
    const pushed = await database.rows<{ file: string }>(
      "select version || '_' || name || '.sql' as file from supabase_migrations.schema_migrations order by version"
    )
    assert.deepStrictEqual(
      pushed.map(({ file }) => file),
      await migrationFiles()
    )
    const second = await push()
    assert.strictEqual(second.code, 0, second.output)
    assert.match(second.output, /up to date/i)
    assert.deepStrictEqual(await migrate(database.url, join(cli.directory, "supabase/migrations")), [])
  })
})

const filesOf = async (form: FormData) => {
  const files: Array<readonly [name: string, text: string]> = []
  for (const part of form.getAll("file")) if (typeof part !== "string") files.push([part.name, await part.text()])
  return Object.fromEntries(files)
}

describe("a deployment with the Supabase CLI", () => {
  it("uploads exactly the bundles, byte for byte, to be called without a user's token", async () => {
    await using api = await startManagementApi(cli.directory)
    const { code, output } = await cli.run(
      ["functions", "deploy", "--use-api", `--remote=${PROJECT}`, "--yes"],
      api.env
    )
    assert.strictEqual(code, 0, output)
    const uploaded = api.uploads.map(({ url }) => url.searchParams.get("slug") ?? "")
    assert.deepStrictEqual(uploaded.toSorted(), names)
    for (const { form, url } of api.uploads) {
      const name = url.searchParams.get("slug") ?? ""
      const folder = `supabase/functions/${name}/dist`
      const built = await readdir(join(cli.directory, folder))
      const bundles = await Promise.all(
        built.map(async (file) => [`${folder}/${file}`, await readFile(join(cli.directory, folder, file), "utf8")])
      )
      assert.deepStrictEqual(await filesOf(await form), Object.fromEntries(bundles))
      const metadata = JSON.parse(String((await form).get("metadata")))
      assert.deepInclude(metadata, { name, verify_jwt: false, entrypoint_path: `${folder}/index.mjs` })
    }
  })
})
