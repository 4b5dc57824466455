import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { assert, describe, it } from "vitest"
import {
  bury,
  claim,
  complete,
  createMentor,
  eventOf,
  eventsOf,
  functionUrl,
  newSecret,
  openDatabase,
  setStatus,
  settle,
  storeSecret,
  sweep
} from "../../support/sql.ts"

const migrations = new URL("../../../supabase/migrations/", import.meta.url)
// The migrations of 0.1.0, whose text is fixed: what comes later comes in files of its own.
const fixed = new URL("migrations.sha256", import.meta.url)

const fixedFiles = async (): Promise<ReadonlyArray<readonly [digest: string, name: string]>> =>
  (await readFile(fixed, "utf8"))
    .trim()
    .split("\n")
    .map((line) => {
      const [digest = "", name = ""] = line.split(/ +/)
      return [digest, name]
    })

describe("the migrations of 0.1.0", () => {
  it("are unchanged, and come before all later ones", async () => {
    const files = await fixedFiles()
    const names = (await readdir(migrations)).filter((name) => name.endsWith(".sql")).toSorted()
    assert.deepStrictEqual(
      names.slice(0, files.length),
      files.map(([, name]) => name)
    )
    for (const [digest, name] of files) {
      const text = await readFile(new URL(name, migrations))
      assert.strictEqual(createHash("sha256").update(text).digest("hex"), digest, name)
    }
  })

  it("can be upgraded with data in them: known, queued, settled and dead events stay", async () => {
    await using database = await openDatabase({ migrate: false })
    await database.migrate({ only: (await fixedFiles()).map(([, name]) => name) })
    await storeSecret(database, "outbox_function_url", functionUrl)
    await storeSecret(database, "outbox_webhook_secret", newSecret())
    const [told, waiting, dead, held] = [
      await createMentor(database),
      await createMentor(database),
      await createMentor(database),
      await createMentor(database)
    ]
    for (const mentor of [told, waiting, dead, held]) await setStatus(database, mentor, "paused")
    await settle(database, (await eventOf(database, told)).event_id)
    await bury(database, (await eventOf(database, dead)).event_id)
    const { event_id } = await eventOf(database, held)
    const token = await claim(database, event_id)
    await database.rows("update outbox.settings set max_attempts = 7")

    await database.migrate()
    assert.deepStrictEqual(await database.row("select max_attempts from outbox.settings"), { max_attempts: 7 })
    const statuses = await Promise.all(
      [told, waiting, dead, held].map(async (mentor) => (await eventsOf(database, mentor)).map(({ status }) => status))
    )
    assert.deepStrictEqual(statuses, [["completed"], ["pending"], ["failed"], ["processing"]])
    assert.include(await complete(database, event_id, token), { outcome: "completed" })
    await sweep(database)
    await setStatus(database, told, "active")
    assert.deepInclude(await eventOf(database, told, 2), { transition: "RESUME" })
    await settle(database, (await eventOf(database, waiting)).event_id)
  })
})
