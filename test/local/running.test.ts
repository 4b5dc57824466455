import { assert, describe, inject, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { announce, runningStacks } from "../../local/running.ts"

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

const stackOn = (port: number) => ({
  apiUrl: `http://127.0.0.1:${port}`,
  databaseUrl: "postgresql://127.0.0.1",
  functionUrl: "",
  serviceKey: "",
  webhookSecret: "",
  services: { orchestrator: { pid: 1 } }
})

// Other tests may run stacks at the same time.
const isListed = async (port: number): Promise<boolean> =>
  (await runningStacks()).some(({ apiUrl }) => apiUrl === `http://127.0.0.1:${port}`)

describe("the list of running stacks", () => {
  it("has a stack from its announcement to its end, with its orchestrator's current process", async () => {
    const stack = stackOn(11)
    {
      await using announced = await announce(stack)
      assert.isTrue(await isListed(11))
      stack.services.orchestrator.pid = 2
      await announced.refresh()
      const found = (await runningStacks()).find(({ apiUrl }) => apiUrl === stack.apiUrl)
      assert.strictEqual(found?.orchestratorPid, 2)
    }
    assert.isFalse(await isListed(11))
  })

  it("leaves out a stack whose launcher was killed", async () => {
    const running = JSON.stringify(join(project, "local/running.ts"))
    const script = `const { announce } = await import(${running})
      await announce(${JSON.stringify(stackOn(12))})
      console.log("announced")
      setInterval(() => {}, 1000)`
    const launcher = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    await once(launcher.stdout, "data")
    assert.isTrue(await isListed(12))
    launcher.kill("SIGKILL")
    await once(launcher, "exit")
    assert.isFalse(await isListed(12))
  })
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

  it("runs its standard input", async () => {
    const { stdout } = await sql(["--url", url], "select 1 as a;\nselect 2 as b;\n")
    assert.strictEqual(stdout, "a\n─\n1\n(1 row)\nb\n─\n2\n(1 row)\n")
  })

  it("shows PostgreSQL's complaint and exits with 1", async () => {
    const { code, stderr } = await sql(["--url", url, "selec"])
    assert.strictEqual(code, 1)
    assert.include(stderr, 'syntax error at or near "selec"')
  })

  it("prints its usage and exits with 2 if it gets two pieces", async () => {
    const { code, stderr } = await sql(["--url", url, "select 1", "select 2"])
    assert.strictEqual(code, 2)
    assert.include(stderr, "npm run sql")
  })

  it("says that nothing answers if the database is gone", async () => {
    const { code, stderr } = await sql(["--url", "postgresql://postgres:postgres@127.0.0.1:1/postgres", "select 1"])
    assert.strictEqual(code, 1)
    assert.include(stderr, "Is npm start still running?")
  })
})
