import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import {
  bury,
  createMentor,
  type Database,
  eventOf,
  openReadyDatabase,
  setStatus,
  storeSecret
} from "../../support/sql.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/runbook.md"), "utf8")
const shown = (text: string) =>
  [...text.matchAll(/^ *```sql\n(.*?)^ *```$/gms), ...text.matchAll(/`(select [^`]+)`/g)]
    .map(([, statements = ""]) => statements)
    .filter((statements) => !statements.includes("…"))

const section = (title: string): string =>
  page.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? assert.fail(`the runbook has no "${title}"`)

describe("the runbook", () => {
  let database: Database
  beforeEach(async () => {
    database = await openReadyDatabase()
  })
  afterEach(() => database?.[Symbol.asyncDispose]())

  const paused = async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    return mentor
  }

  it("shows SQL that runs", async () => {
    const dead = await paused()
    const { event_id } = await eventOf(database, dead)
    await bury(database, event_id)
    await database.rows("create schema if not exists auth")
    await database.rows("create table if not exists auth.users (email text, raw_app_meta_data jsonb)")
    const statements = shown(page).map((text) =>
      text.replaceAll("<event id>", event_id).replaceAll("<mentor id>", dead)
    )
    assert.isAtLeast(statements.length, 20)
    for (const statement of statements) await database.rows(statement)
  })

  it("lists only existing sections in its contents", () => {
    const anchors = [...page.matchAll(/^## (.*)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-")
    )
    const linked = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = ""]) => anchor)
    assert.includeMembers(linked, anchors)
    assert.includeMembers(anchors, linked)
  })

  it("makes a clone that sends none of production's events, and sends nothing to production", async () => {
    for (const name of ["outbox_send_email_url", "outbox_alert_url", "outbox_otlp_url"]) {
      await storeSecret(database, name, "https://production.example")
    }
    const mentor = await paused()
    await setStatus(database, mentor, "active")
    await database.rows("delete from net.http_request_queue")
    for (const statement of shown(section("Clone to staging without notifying production's coordinators"))) {
      await database.rows(statement)
    }

    assert.deepStrictEqual(await database.rows("select name from vault.secrets where name like 'outbox%'"), [])
    for (const version of [1, 2]) assert.strictEqual((await eventOf(database, mentor, version)).status, "failed")
    await setStatus(database, mentor, "paused")
    assert.strictEqual((await eventOf(database, mentor, 3)).status, "pending")
    assert.deepStrictEqual(await database.rows("select from net.http_request_queue"), [])
  })
})
