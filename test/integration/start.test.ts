import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { assert, describe, it } from "vitest"
import { eventually } from "../support/pipeline.ts"

const project = join(import.meta.dirname, "../..")

/** The program as a process of its own. */
class Program {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  readonly closed: Promise<unknown>
  stdout = ""
  stderr = ""

  constructor(...args: ReadonlyArray<string>) {
    this.process = spawn(process.execPath, ["local/start.ts", ...args], {
      cwd: project,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.process.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text))
    this.process.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text))
    this.closed = once(this.process, "close")
  }

  async exitCode(): Promise<number | null> {
    await this.closed
    return this.process.exitCode
  }

  async prints(text: string): Promise<void> {
    await eventually(`the program to print ${JSON.stringify(text)}`, () => {
      if (this.stdout.includes(text)) return true
      throw new Error(`it printed: ${this.stdout}${this.stderr}`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGKILL")
    await this.closed
  }
}

interface ProcessRow {
  readonly pid: number
  readonly parent: number
}

const processes = (): ReadonlyArray<ProcessRow> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    // What has ended but was not yet waited for by its new parent is gone all the same.
    .filter(([, , state = ""]) => !state.startsWith("Z"))
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }))

const descendants = (of: number): ReadonlyArray<number> =>
  processes()
    .filter(({ parent }) => parent === of)
    .flatMap(({ pid }) => [pid].concat(descendants(pid)))

const isInstalled = (command: string): boolean => {
  try {
    execFileSync("which", [command], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

describe("npm start", () => {
  it("runs every scenario with --exit, finds each as expected, and exits with 0", async () => {
    await using program = new Program("--exit")
    const code = await program.exitCode()
    const verdicts = program.stdout.match(/\b(yes|NO)$/gm)
    assert.deepEqual(
      verdicts,
      Array.from({ length: 11 }, () => "yes"),
      program.stdout + program.stderr
    )
    assert.equal(code, 0)
  })

  it("prints one line of JSON with --json, serves until SIGTERM, and leaves no process behind", async () => {
    await using program = new Program("--json")
    await program.prints("\n")
    const facts: Record<string, unknown> = JSON.parse(program.stdout)
    assert.deepEqual(Object.keys(facts), [
      "ready",
      "databaseUrl",
      "apiUrl",
      "functionUrl",
      "orchestratorUrl",
      "resendUrl",
      "serviceKey",
      "webhookSecret"
    ])
    assert.equal(facts["ready"], true)
    const reply = await fetch(String(facts["functionUrl"]), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}"
    })
    assert.equal(reply.status, 401)

    const started = descendants(program.process.pid ?? 0)
    assert.isAtLeast(started.length, 6)
    program.process.kill("SIGTERM")
    assert.equal(await program.exitCode(), 0)
    assert.lengthOf(program.stdout.trimEnd().split("\n"), 1)
    await eventually("every process to be gone", () =>
      processes().some(({ pid }) => started.includes(pid)) ? undefined : true
    )
  })

  it.each(["--port", "--db-port"])("says which port is taken and how to choose another: %s", async (flag) => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" ? address?.port : undefined
    try {
      await using program = new Program("--json", flag, `${port}`)
      assert.equal(await program.exitCode(), 1)
      assert.include(program.stderr, `Port ${port} on 127.0.0.1 is taken`)
      assert.include(program.stderr, `with ${flag}.`)
      assert.equal(program.stdout, "")
    } finally {
      server.close()
    }
  })

  it.each(["--nonsense", "--port abc", "--deno 1", "--exit --json", "word"])(
    "prints its usage and exits with 2 if it is misused: %s",
    async (args) => {
      await using program = new Program(...args.split(" "))
      assert.equal(await program.exitCode(), 2)
      assert.include(program.stderr, "npm start -- --exit")
      assert.equal(program.stdout, "")
    }
  )

  it("notices a taken port before anything is done", async () => {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" ? address?.port : undefined
    try {
      await using program = new Program("--port", "0", "--db-port", `${port}`)
      assert.equal(await program.exitCode(), 1)
      assert.equal(program.stdout, "")
    } finally {
      server.close()
    }
  })

  it.skipIf(!isInstalled("curl") || !isInstalled("openssl"))(
    "shows a pause step by step, prints commands that work when pasted, and shows what they changed",
    async () => {
      await using program = new Program("--port", "0", "--db-port", "0")
      await program.prints("Changes appear below")
      const screen = program.stdout.slice(program.stdout.indexOf("Mentor 1 was paused."))
      assert.match(
        screen.replaceAll("\n", " "),
        /^Mentor 1 was paused\. Coordinator A and Coordinator B were notified \d+ ms after the commit\./
      )
      const lines = screen.trimEnd().split("\n")
      // A terminal of 24 lines, the last of which has the cursor.
      assert.isAtMost(lines.length, 23, screen)
      assert.isAtMost(Math.max(...lines.map(({ length }) => length)), 80, screen)
      const steps = [...screen.matchAll(/^ +~?[\d.]+ {2}([\w-]+) +(\w+)/gm)].map(([, who, what]) => `${who} ${what}`)
      assert.deepEqual(steps, [
        "PostgreSQL committed",
        "handler webhook",
        "outbox claimed",
        "orchestrator accepted",
        "notifications written",
        "outbox completed",
        "send-email mailed"
      ])

      // Other stacks may be running here too, but this is the one started last, and no other test shows recipes.
      await using printed = new Program("--recipes")
      assert.equal(await printed.exitCode(), 0)
      assert.isAtMost(Math.max(...printed.stdout.split("\n").map(({ length }) => length)), 80)
      // Other test files keep this machine busy, so everything waits longer than a reader would.
      const script = printed.stdout.replaceAll(/^sleep \d+$/gm, "sleep 20")
      const bash = spawn("bash", ["-c", script], { cwd: "/", stdio: ["ignore", "pipe", "ignore"] })
      let output = ""
      bash.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
      await once(bash, "close")
      assert.deepEqual(output.match(/^HTTP\/1\.1 \d+/gm), ["HTTP/1.1 200", "HTTP/1.1 409", "HTTP/1.1 401"], output)
      assert.match(output, /^UPDATE 1\nUPDATE 3\n/)
      assert.match(output, /(pending|processing) +\d+ +transient: The orchestrator is unavailable/)
      assert.match(output, /"dryRun":true|in_flight/)
      assert.match(output, /completed +[2-9] +\d/)
      assert.include(output, '"status":"ready"')

      for (const shown of ["Mentor 2  active → paused  version 1", "from elsewhere", "was refused", "released:"]) {
        await program.prints(shown)
      }
      program.process.kill("SIGINT")
      assert.equal(await program.exitCode(), 0)
      const kept = /Stopped\. For the next start, PostgreSQL stays in\n(.+)\n$/.exec(program.stdout)?.[1] ?? ""
      assert.isTrue(existsSync(kept), program.stdout)
    }
  )
})
