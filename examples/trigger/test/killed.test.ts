import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { connect } from "../../../local/postgres/connect.ts"
import { eventually } from "../../../test/support/pipeline.ts"
import { reconcile, secretKey, startWorld, type World } from "./world.ts"

describe("a worker that is killed in the middle of a run", () => {
  let world: World
  let home: string
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), "pause-status-trigger-"))
    world = await startWorld()
  })
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]()
    await rm(home, { recursive: true, force: true })
  })

  it("loses no event and notifies nobody twice", async () => {
    const journal = join(home, "runs.jsonl")
    const child = spawn(process.execPath, [join(import.meta.dirname, "../support/standIn.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        TRIGGER_JOURNAL: journal,
        TRIGGER_PORT: String(world.port),
        TRIGGER_SECRET_KEY: secretKey,
        TRIGGER_API_URL: `http://127.0.0.1:${world.port}`
      }
    })
    const exited = once(child, "exit")
    try {
      await once(child.stdout, "data")
      const mentor = await world.mentorWith(1)
      const locker = await connect(world.stack.databaseUrl, "locker")
      await locker.query("begin; lock table public.notifications in access exclusive mode")
      await world.become(mentor, "paused")
      const event = await world.settled(mentor, "completed")
      await eventually("the run waits for the database", async () => {
        const text = "select 1 from pg_locks where relation = 'public.notifications'::regclass and not granted"
        return (await world.database.rows(text))[0]
      })
      child.kill("SIGKILL")
      await exited
      // The database completes the run's request, although the run is gone.
      await locker.query("commit")
      await locker.end()

      await using trigger = await world.startTrigger({ journal })
      assert.deepStrictEqual(
        trigger.runs.all().map(({ status }) => status),
        ["CRASHED"]
      )
      assert.deepStrictEqual(await reconcile(trigger), { failed: 1 })
      assert.match((await world.lettersOf(event.event_id))[0] ?? "", /run_\w+ ended as CRASHED/)
      await world.redrive(event.event_id)
      await world.settled(mentor, "completed")
      await trigger.idle()
      assert.strictEqual(trigger.runs.all().at(-1)?.status, "COMPLETED")
      assert.deepStrictEqual(await world.notified(mentor), ["PAUSE"])
    } finally {
      child.kill("SIGKILL")
      await exited
    }
  })
})
