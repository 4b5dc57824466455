import { assert, describe, inject, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { join } from "node:path"

const project = join(import.meta.dirname, "../..")

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const sql = (args: ReadonlyArray<string>, input = ""): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(project, "local/sql.ts"), ...args],
      { cwd: "/", env: { PATH: process.env["PATH"] } },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr })
    )
    child.stdin?.end(input)
  })

describe("npm run sql", () => {
  const url = inject("stack").databaseUrl

  it("runs one piece of SQL on the database of --url", async () => {
    assert.deepStrictEqual(await sql(["--url", url, "select 1 as a, null as b"]), {
      code: 0,
      stdout: "a  b\n─  ─\n1\n(1 row)\n",
      stderr: ""
    })
  })

  it("runs what it gets on its standard input", async () => {
    const { stdout } = await sql(["--url", url], "select 1 as a;\nselect 2 as b;\n")
    assert.strictEqual(stdout, "a\n─\n1\n(1 row)\nb\n─\n2\n(1 row)\n")
  })

  it("shows PostgreSQL's complaint and exits with 1", async () => {
    const { code, stderr } = await sql(["--url", url, "selec"])
    assert.strictEqual(code, 1)
    assert.include(stderr, 'syntax error at or near "selec"')
  })

  it("explains itself and exits with 2 when it gets two pieces", async () => {
    const { code, stderr } = await sql(["--url", url, "select 1", "select 2"])
    assert.strictEqual(code, 2)
    assert.include(stderr, "npm run sql")
  })

  it("says that nothing answers when the database is gone", async () => {
    const { code, stderr } = await sql(["--url", "postgresql://postgres:postgres@127.0.0.1:1/postgres", "select 1"])
    assert.strictEqual(code, 1)
    assert.include(stderr, "Is npm start still running?")
  })
})
