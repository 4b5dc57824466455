import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openDatabase } from "../../support/sql.ts"

const url = "https://example.supabase.co/functions/v1/send-email"

const setUp = async (database: Database): Promise<void> => {
  await database.rows("select vault.create_secret($1, 'outbox_send_email_url')", [url])
  await database.rows("select vault.create_secret('whsec_' || repeat('a', 32), 'outbox_webhook_secret')")
}
const turn = async (database: Database, enabled: boolean): Promise<string> =>
  (await database.row<{ answer: string }>("select outbox.mail_notifications($1) as answer", [enabled])).answer

const createCoordinator = async (database: Database, email: string | null): Promise<string> =>
  (
    await database.row<{ id: string }>("insert into public.coordinators (name, email) values ('Bo', $1) returning id", [
      email
    ])
  ).id

/** Writes notifications of one event, as the orchestrator does. */
const notify = (database: Database, ...coordinatorIds: ReadonlyArray<string>) =>
  database.rows(
    `insert into public.notifications (event_id, mentor_id, coordinator_id, transition, version)
     select gen_random_uuid(), gen_random_uuid(), c, 'PAUSE', 7 from unnest($1::uuid[]) as c`,
    [coordinatorIds]
  )

interface Queued {
  readonly key: string
  readonly version: number
  readonly record: Readonly<Record<string, unknown>>
}
const queued = (database: Database) =>
  database.rows<Queued>(
    `select key, version::int, record from outbox.events where topic = 'notification-mail' order by key, version`
  )

describe("outbox.mail_notifications()", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it("is off at first: a notification queues nothing, and its table has no trigger", async () => {
    await notify(database, await createCoordinator(database, "bo@example.com"))
    assert.isEmpty(await queued(database))
    assert.isEmpty(
      await database.rows(
        "select from pg_trigger where tgrelid = 'public.notifications'::regclass and not tgisinternal"
      )
    )
  })

  it("stays off if it is switched off again", async () => {
    assert.match(await turn(database, false), /^Off: /)
    assert.isEmpty(await database.rows("select from outbox.topics where topic = 'notification-mail'"))
  })

  it("says which secret Vault lacks, and changes nothing", async () => {
    const error = await turn(database, true).catch((cause: unknown) => String(cause))
    assert.match(error, /Vault has no secret named outbox_send_email_url/)
    assert.isEmpty(await database.rows("select from outbox.topics where topic = 'notification-mail'"))
  })

  it("switched on, queues each notification from then on, by coordinator, in order", async () => {
    await setUp(database)
    assert.match(await turn(database, true), /^On: each notification is mailed to its coordinator from now on\.$/)
    const [one, other] = [
      await createCoordinator(database, "one@example.com"),
      await createCoordinator(database, "other@example.com")
    ]
    await notify(database, one, other)
    await notify(database, one)
    const events = await queued(database)
    assert.sameDeepMembers(
      events.map(({ key, version }) => [key, version]),
      [
        [one, 1],
        [one, 2],
        [other, 1]
      ]
    )
  })

  it("queues several notifications of one coordinator in one statement, each as an event of its own", async () => {
    const id = await createCoordinator(database, "many@example.com")
    await notify(database, id, id, id)
    const events = (await queued(database)).filter(({ key }) => key === id)
    assert.deepStrictEqual(
      events.map(({ version }) => version),
      [1, 2, 3]
    )
    assert.lengthOf(new Set(events.map(({ record }) => record["id"])), 3)
  })

  it("stores ids in the outbox, and neither names nor addresses", async () => {
    for (const { key, record } of await queued(database)) {
      assert.sameMembers(Object.keys(record), [
        "id",
        "event_id",
        "mentor_id",
        "coordinator_id",
        "transition",
        "version"
      ])
      assert.deepStrictEqual([record["coordinator_id"], record["transition"], record["version"]], [key, "PAUSE", 7])
    }
  })

  it("switched on again, changes nothing and queues nothing twice", async () => {
    const before = await queued(database)
    await turn(database, true)
    await database.rows("select outbox.reconcile()")
    assert.deepStrictEqual(await queued(database), before)
  })

  it("counts coordinators without an address", async () => {
    await createCoordinator(database, null)
    await createCoordinator(database, "")
    assert.match(await turn(database, true), /2 coordinators have no address/)
  })

  it("switched off, queues nothing more and keeps what is queued", async () => {
    const before = await queued(database)
    assert.match(await turn(database, false), /^Off: /)
    await notify(database, randomUUID())
    assert.deepStrictEqual(await queued(database), before)
  })
})

describe("a table of coordinators without addresses", () => {
  it("is refused with what to do about it", async () => {
    await using database = await openDatabase()
    await setUp(database)
    await database.rows("alter table public.coordinators drop column email")
    const error = await turn(database, true).catch(
      (cause: { readonly message: string; readonly hint: string }) => cause
    )
    assert.deepInclude(error, {
      message: "public.coordinators has no column email",
      hint: "Run: alter table public.coordinators add column email text"
    })
  })
})

describe("outbox.mentor_name()", () => {
  it.each([
    ["full_name", "Ada"],
    ["name", "Ada"],
    ["display_name", "Ada"],
    ["nickname", null]
  ])("reads the column %s: %s", async (column, expected) => {
    await using database = await openDatabase()
    await database.rows("alter table public.peer_mentor_profiles drop column full_name")
    await database.rows(`alter table public.peer_mentor_profiles add column ${column} text`)
    const { id } = await database.row<{ id: string }>(
      `insert into public.peer_mentor_profiles (${column}) values ('Ada') returning id::text`
    )
    const { name } = await database.row<{ name: string | null }>("select outbox.mentor_name($1) as name", [id])
    assert.strictEqual(name, expected)
  })

  it("finds nobody for an invalid id", async () => {
    await using database = await openDatabase()
    const { name } = await database.row<{ name: string | null }>("select outbox.mentor_name('no uuid') as name")
    assert.isNull(name)
  })
})

describe("public.notification_mail_prepare() and _record()", () => {
  it("refuse anything but an array, and say so", async () => {
    await using database = await openDatabase()
    for (const [name, argument] of [
      ["notification_mail_prepare", "mails"],
      ["notification_mail_record", "results"]
    ] as const) {
      const error = await database.call(name, { [argument]: { a: 1 } }).catch((cause: unknown) => String(cause))
      assert.match(String(error), new RegExp(`${argument} must be a JSON array`))
    }
  })

  it("leave the tombstone of an erased event as it is", async () => {
    await using database = await openDatabase()
    const eventId = randomUUID()
    await database.rows(
      "insert into outbox.receipts (event_id, fingerprint, receipt) values ($1, 'concealed', '{\"erased\": true}')",
      [eventId]
    )
    const coordinatorId = await createCoordinator(database, "bo@example.com")
    const mail = { eventId, coordinatorId, mentorId: randomUUID(), pauseEventId: randomUUID(), occurredAt: "now" }
    const [answer] = await database.rpc("notification_mail_prepare", { mails: [mail] })
    assert.deepStrictEqual(answer, { outcome: "mailed", receipt: { erased: true } })
  })

  it("use the time of the pause, not that of the mail", async () => {
    await using database = await openDatabase()
    const coordinatorId = await createCoordinator(database, "bo@example.com")
    const { id } = await database.row<{ id: string }>(
      "insert into public.peer_mentor_profiles (full_name) values ('Ada') returning id"
    )
    await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = $1", [id])
    const pause = await database.row<{ event_id: string; at: string }>(
      "select event_id, outbox.iso(occurred_at) as at from outbox.events where key = $1",
      [id]
    )
    const mail = { eventId: randomUUID(), coordinatorId, mentorId: id, pauseEventId: pause.event_id, occurredAt: "now" }
    const [answer] = await database.rpc("notification_mail_prepare", { mails: [mail] })
    assert.deepStrictEqual(answer, {
      outcome: "ready",
      facts: { to: "bo@example.com", coordinator: "Bo", mentor: "Ada", since: pause.at },
      isFirst: true
    })
  })
})
