import { assert, beforeAll, afterAll, describe, it } from "vitest"
import { createMentor, type Database, openDatabase } from "../../support/sql.ts"

describe("updated_at of the profiles", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const readTime = async (mentor: string, own = database) =>
    (
      await own.row<{ time: string }>(
        "select updated_at::text as time from public.peer_mentor_profiles where id = $1",
        [mentor]
      )
    ).time

  const change = (mentor: string, set: string, own = database) =>
    own.rows(`update public.peer_mentor_profiles set ${set} where id = $1`, [mentor])

  it("is the time of the last change, even of two in one transaction, and after another migration", async () => {
    const mentor = await createMentor(database)
    const times = [await readTime(mentor)]
    await database.migrate()
    await using client = await database.connect()
    await client.query("begin")
    for (const status of ["paused", "active", "paused"]) {
      const set = "update public.peer_mentor_profiles set status = $2 where id = $1 returning updated_at::text as time"
      const { rows } = await client.query<{ time: string }>(set, [mentor, status])
      times.push(...rows.map(({ time }) => time))
    }
    await client.query("commit")
    assert.lengthOf(new Set(times), 4)
    const inOrder = await database.row("select array(select unnest($1::timestamptz[]) order by 1) = $1 as yes", [times])
    assert.deepStrictEqual(inOrder, { yes: true })
  })

  it("is what the change itself says", async () => {
    const mentor = await createMentor(database)
    await change(mentor, "status = 'paused', updated_at = '2020-02-29 12:00:00.000001+00'")
    assert.match(await readTime(mentor), /^2020-02-29 .*\.000001/)
  })

  it.for<readonly [what: string, statement: string]>([
    ["has another name", "alter table public.peer_mentor_profiles rename updated_at to changed_at"],
    ["has another type", "alter table public.peer_mentor_profiles alter updated_at type text"],
    [
      "has a type that no time fits",
      "alter table public.peer_mentor_profiles alter updated_at drop default, alter updated_at type integer using 0"
    ],
    ["is gone", "alter table public.peer_mentor_profiles drop updated_at"]
  ])("does not make a pause fail if it %s", async ([, statement]) => {
    await using own = await openDatabase()
    const mentor = await createMentor(own)
    await own.rows(statement)
    await change(mentor, "status = 'paused'", own)
    assert.lengthOf(await own.rows("select from outbox.events"), 1)
  })

  it("is left alone in an existing table", async () => {
    await using own = await openDatabase({ migrate: false })
    await own.rows(`
      create table public.peer_mentor_profiles (
        id uuid primary key default gen_random_uuid(), status text, updated_at timestamptz default '2020-02-29'
      )`)
    await own.migrate()
    const mentor = await createMentor(own)
    const before = await readTime(mentor, own)
    await change(mentor, "status = 'paused'", own)
    assert.strictEqual(await readTime(mentor, own), before)
  })
})
