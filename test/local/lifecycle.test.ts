import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Service, type Stack, StackError, startStack } from "../../local/stack.ts"
import { bareStack, openSession } from "../support/bareStack.ts"
import { eventually } from "../support/eventually.ts"

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const leftIn = async (directory: string): Promise<ReadonlyArray<string>> =>
  (await readdir(directory)).filter((name) => /^pause-status-(data|stack)-/.test(name))

let own: string

// Open to others, as /tmp is: root's stack runs PostgreSQL as another user.
const openDirectory = async (prefix: string): Promise<string> => {
  const directory = await mkdtemp(prefix)
  await chmod(directory, 0o755)
  return directory
}

beforeAll(async () => {
  own = await openDirectory(join(tmpdir(), "lifecycle-"))
})

afterAll(() => rm(own, { recursive: true, force: true }))

interface Launched {
  readonly child: ChildProcess
  readonly pids: ReadonlyArray<number>
  readonly apiUrl: string
}

const launch = async (temporaryDirectory: string): Promise<Launched> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("../support/launcher.ts", import.meta.url))], {
    detached: true,
    env: { ...process.env, TMPDIR: temporaryDirectory, STACK_DATA: temporaryDirectory },
    stdio: ["pipe", "pipe", "inherit"]
  })
  const lines = createInterface({ input: child.stdout })
  for await (const line of lines) return { child, ...JSON.parse(line) }
  throw new Error("the launcher printed nothing")
}

describe("a launcher", () => {
  it("leaves no process and no data behind when it is killed with SIGKILL", async () => {
    const directory = await openDirectory(join(own, "killed-"))
    const { child, pids } = await launch(directory)
    expect(pids).toHaveLength(8)
    expect(pids.every(isAlive)).toBe(true)
    expect(await leftIn(directory)).toHaveLength(2)
    child.kill("SIGKILL")
    await eventually(() => pids.filter(isAlive)).toEqual([])
    await eventually(() => leftIn(directory)).toEqual([])
  })

  it("keeps its processes if Ctrl-C reaches the whole process group, until it stops them itself", async () => {
    const directory = await openDirectory(join(own, "interrupted-"))
    const { child, pids, apiUrl } = await launch(directory)
    process.kill(-(child.pid ?? 0), "SIGINT")
    expect((await fetch(`${apiUrl}/rest/v1/`)).status).toBe(200)
    expect(pids.every(isAlive)).toBe(true)
    child.stdin?.end()
    await once(child, "exit")
    expect(pids.filter(isAlive)).toEqual([])
    expect(await leftIn(directory)).toEqual([])
  })

  it("can be started twice at once on a new machine", async () => {
    const directory = await openDirectory(join(own, "twice-"))
    const both = await Promise.all([launch(directory), launch(directory)])
    expect(new Set(both.map(({ apiUrl }) => apiUrl)).size).toBe(2)
    for (const { child } of both) {
      child.stdin?.end()
      await once(child, "exit")
    }
    expect((await readdir(directory)).filter((name) => name.includes("draft"))).toEqual([])
  })
})

describe("a stack", () => {
  let stack: Stack

  beforeAll(async () => {
    stack = await bareStack()
  })

  afterAll(() => stack?.stop())

  it.each(["handler", "orchestrator", "postgrest", "net", "http", "cron", "postgres"] as const)(
    "starts %s again after it was killed",
    async (name) => {
      const service: Service = stack.services[name]
      const before = service.pid
      await service.kill("SIGKILL")
      expect(before === undefined || isAlive(before)).toBe(false)
      await eventually(() => service.running).toBe(true)
      expect(service.pid).not.toBe(before)
    }
  )

  it("runs the functions on the Deno that hosted Supabase uses", async () => {
    expect(await (await fetch(stack.functionUrl)).json()).toMatchObject({ deno: "2.1.4" })
  })

  it("answers again afterwards", async () => {
    expect((await fetch(stack.functionUrl)).status).toBe(200)
    await eventually(async () => (await fetch(`${stack.apiUrl}/rest/v1/`)).status).toBe(200)
  })

  it("keeps what was committed before PostgreSQL was killed", async () => {
    await using before = await openSession(stack.databaseUrl)
    await before.client.query("create table public.kept (id int); insert into public.kept values (1)")
    await stack.services.postgres.kill("SIGKILL")
    await stack.services.postgres.start()
    await using after = await openSession(stack.databaseUrl)
    expect(await after.value("select id from public.kept")).toBe(1)
  })

  it("keeps a stopped service down until it is started", async () => {
    const { handler } = stack.services
    await handler.stop()
    expect([handler.running, handler.pid]).toEqual([false, undefined])
    expect((await fetch(stack.functionUrl)).status).toBe(503)
    await handler.start()
    expect((await fetch(stack.functionUrl)).status).toBe(200)
  })

  it("can pause a service with SIGSTOP and resume it with SIGCONT", async () => {
    const { handler } = stack.services
    await handler.kill("SIGSTOP")
    const answer = fetch(stack.functionUrl)
    await handler.kill("SIGCONT")
    expect((await answer).status).toBe(200)
  })

  it("can be stopped more than once", async () => {
    const pids = Object.values(stack.services).map(({ pid }) => pid ?? 0)
    await Promise.all([stack.stop(), stack.stop()])
    await stack.stop()
    expect(pids.filter(isAlive)).toEqual([])
    await expect(fetch(stack.apiUrl)).rejects.toThrow()
  })
})

describe("a stack with options", () => {
  it("runs the functions on the current Deno, with more environment and another orchestrator", async () => {
    await using stack = await bareStack({
      deno: "current",
      functionEnv: { MORE: "1", WEBHOOK_SECRETS: "whsec_own" },
      orchestratorUrl: "http://127.0.0.1:9/elsewhere"
    })
    const echo: unknown = await (await fetch(stack.functionUrl)).json()
    expect(echo).toMatchObject({
      deno: expect.not.stringMatching(/^2\.1\./),
      env: { MORE: "1", WEBHOOK_SECRETS: "whsec_own", ORCHESTRATOR_URL: "http://127.0.0.1:9/elsewhere" }
    })
  })
})

describe("a stack that cannot start", () => {
  const nowhere = { functions: "/nowhere", migrations: "/nowhere" }

  it("names the port that is taken and the option to change it", async () => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    for (const option of ["apiPort", "databasePort"]) {
      const failure = await bareStack({ [option]: port }).catch((cause: unknown) => cause)
      expect(failure).toBeInstanceOf(StackError)
      expect(String(failure)).toContain(`Port ${port} on 127.0.0.1 is taken`)
      expect(String(failure)).toContain(option)
    }
    server.close()
  })

  it("says how to make a missing bundle", async () => {
    await expect(startStack({ migrate: false }, nowhere)).rejects.toThrow("Run npm run build first")
  })

  it("names the file and line of a failing migration, and leaves nothing running", async () => {
    const directory = await mkdtemp(join(own, "migrations-"))
    const functions = join(directory, "functions")
    for (const name of ["pause-status-webhook-handler", "pause-notification-orchestrator"]) {
      await mkdir(join(functions, name, "dist"), { recursive: true })
      await writeFile(join(functions, name, "dist", "index.mjs"), "export default { fetch: () => new Response() }")
    }
    await writeFile(join(directory, "20260101000000_break.sql"), "-- é\nselect 1;\nselect nothing_of_the_kind;\n")
    const lines: Array<string> = []
    const failure = await startStack(
      { log: ({ text }) => lines.push(text) },
      { functions, migrations: directory }
    ).catch((cause: unknown) => cause)
    expect(failure).toBeInstanceOf(StackError)
    expect(String(failure)).toContain('20260101000000_break.sql:3: column "nothing_of_the_kind" does not exist')
    await eventually(() => lines).toContain("LOG:  database system is shut down")
  })
})
