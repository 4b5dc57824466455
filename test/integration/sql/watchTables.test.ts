import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { capturedIn, enumOf, pauseOf, watched } from "../../support/captured.ts"
import {
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  failureOf,
  openReadyDatabase,
  setStatus,
  settle
} from "../../support/sql.ts"

describe("a topic that a project declares", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows(`
      ${enumOf("ACTIVE", "ON_LEAVE", "SICK", "RETIRED")}
      create table public.mentors (no bigint primary key, state public.mentor_status not null, name text)`)
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const words = { state: { active: ["ACTIVE"], paused: ["ON_LEAVE", "SICK"] } }

  const declare = (database: Database, topic: string, changes: object = {}) => {
    const args = { topic, relation: "public.mentors", key: "no", columns: ["state"], ...changes }
    const [names, values] = [Object.keys(args), Object.values(args)]
    return database.rows(
      `select outbox.watch(${names.map((name, index) => `${name} => $${index + 1}`).join(", ")})`,
      values.map((value) => (typeof value === "object" && !Array.isArray(value) ? JSON.stringify(value) : value))
    )
  }

  const change = async (no: number, ...states: ReadonlyArray<string>) => {
    for (const state of states) await own.rows("update public.mentors set state = $2 where no = $1", [no, state])
  }

  it("has another table, a numeric key and its own words, and is sent as pause-status", async () => {
    await own.rows("insert into public.mentors values (1, 'ACTIVE'), (2, 'SICK'), (3, 'RETIRED')")
    const payload = "jsonb_build_object('id', new.no, 'status', new.state)"
    await declare(own, "pause-status", { words, payload })
    assert.deepStrictEqual(await capturedIn(own), [])
    await change(1, "ON_LEAVE", "SICK", "RETIRED", "ON_LEAVE")
    await change(2, "ON_LEAVE", "RETIRED", "SICK")
    // Its state is known from the first word on that means something.
    await change(3, "ACTIVE", "RETIRED", "SICK")
    await own.rows("insert into public.mentors values (4, 'ON_LEAVE')")
    await own.rows("update public.mentors set name = 'Ada'")
    assert.deepStrictEqual(await capturedIn(own), ["1", "3"].map(pauseOf))
    await change(2, "ACTIVE")
    const [body] = await own.rows<{ body: object }>(
      "select outbox.body(q) as body from outbox.events q where key = '2'"
    )
    assert.deepInclude(body?.body, {
      topic: "pause-status",
      type: "UPDATE",
      schema: "public",
      table: "mentors",
      version: 1,
      record: { id: "2", status: "active" },
      old_record: { id: "2", status: "paused" }
    })
    assert.deepStrictEqual(await own.rows("select outbox.reconcile() as queued"), [{ queued: 0 }])
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    assert.lengthOf(await eventsOf(own, mentor), 0)
  })

  it("has names of any spelling, and keys of any text", async () => {
    await own.rows(`
      create schema "Our Own";
      create table "Our Own"."Mentor's ""list""" ("Mentor's No." text not null unique, "Is on {leave}?" boolean)`)
    const relation = `"Our Own"."Mentor's ""list"""`
    const columns = ["Is on {leave}?"]
    const spelled = { relation, key: "Mentor's No.", columns }
    await declare(own, "own-list", {
      ...spelled,
      words: { "Is on {leave}?": { "it's": ["true"], "{relation}": ["false"] } }
    })
    const keys = ["", "it's", '"', "{}", "{key},null", "Zoë 😀", "\\x41"]
    for (const key of keys) await own.rows(`insert into ${relation} values ($1, false)`, [key])
    await own.rows(`update ${relation} set "Is on {leave}?" = true`)
    const captured = await capturedIn(own)
    assert.sameDeepMembers(
      captured,
      keys.map((key) => ({
        topic: "own-list",
        key,
        version: 1,
        type: "UPDATE",
        record: { "Mentor's No.": key, "Is on {leave}?": "it's" },
        old_record: { "Mentor's No.": key, "Is on {leave}?": "{relation}" }
      }))
    )
    const [body] = await own.rows("select outbox.body(q) as body from outbox.events q limit 1")
    assert.deepInclude(body?.["body"], { schema: "Our Own", table: `Mentor's "list"` })
    assert.deepStrictEqual((await own.call<{ topics: ReadonlyArray<object> }>("outbox_health", {})).topics[0], {
      topic: "own-list",
      attached: true,
      enabled: true
    })
  })

  it("sends inserts if declared, unchanged values without words, and what its condition allows", async () => {
    await declare(own, "mentor-named", {
      columns: ["name", "state"],
      operations: ["INSERT", "UPDATE"],
      condition: "new.name is not null and new.name is distinct from old.name"
    })
    await own.rows("insert into public.mentors values (1, 'ACTIVE', 'Ada'), (2, 'ACTIVE', null)")
    await change(1, "SICK")
    await own.rows("update public.mentors set name = 'Grace'")
    const topic = "mentor-named"
    const of = (key: string, state: string, name: string | null) => ({ no: key, state, name })
    assert.deepStrictEqual(await capturedIn(own), [
      { topic, key: "1", version: 1, type: "INSERT", record: of("1", "ACTIVE", "Ada"), old_record: null },
      {
        topic,
        key: "1",
        version: 2,
        type: "UPDATE",
        record: of("1", "SICK", "Grace"),
        old_record: of("1", "SICK", "Ada")
      },
      {
        topic,
        key: "2",
        version: 1,
        type: "UPDATE",
        record: of("2", "ACTIVE", "Grace"),
        old_record: of("2", "ACTIVE", null)
      }
    ])
  })

  it("can share a table with another topic, with its own versions", async () => {
    await declare(own, "mentor-away", { words })
    await declare(own, "mentor-named", { columns: ["name"] })
    await own.rows("insert into public.mentors values (1, 'ACTIVE', 'Ada')")
    await change(1, "SICK")
    await own.rows("update public.mentors set name = 'Grace'")
    await own.rows("update public.mentors set name = 'Lin', state = 'ACTIVE'")
    const versions = async () => (await capturedIn(own)).map((event) => [event.topic, event.version])
    const seen = [
      ["mentor-away", 1],
      ["mentor-named", 1],
      ["mentor-away", 2],
      ["mentor-named", 2]
    ]
    assert.deepStrictEqual(await versions(), seen)
    // Neither waits for the other.
    for (const topic of ["mentor-away", "mentor-named"]) {
      const [first] = await own.rows<{ claim: object }>(
        `select jsonb_build_object('eventId', event_id, 'topic', topic, 'key', key, 'version', version, 'source', source,
           'occurredAt', outbox.body(q) ->> 'timestamp', 'record', record, 'oldRecord', old_record) as claim
         from outbox.events q where topic = $1 and version = 1`,
        [topic]
      )
      assert.include((await own.rpc("outbox_claim", { events: [first?.claim] }))[0], { outcome: "claimed" })
    }
    await own.rows("select outbox.unwatch('mentor-away')")
    await own.rows("update public.mentors set name = 'Ada', state = 'SICK'")
    assert.deepStrictEqual(await versions(), [...seen, ["mentor-named", 3]])
    const { topics } = await own.call<{ topics: ReadonlyArray<object> }>("outbox_health", {})
    assert.deepStrictEqual(topics, [
      { topic: "mentor-named", attached: true, enabled: true },
      { topic: "pause-status", attached: true, enabled: true }
    ])
  })

  it.for<readonly [what: string, changes: object, says: RegExp]>([
    [
      "a column that is not there",
      { columns: ["status"] },
      /there is no column status \(Its columns are no, state, name, away\)$/
    ],
    ["a key that is not there", { key: "id" }, /there is no column id \(Its columns are no, state, name, away\)$/],
    [
      "words that are not in the enum",
      { words: { state: { active: ["ACTIVE"], paused: ["AWAY", "GONE"] } } },
      /state of type public.mentor_status can never be: AWAY, GONE \(Its words are ACTIVE, ON_LEAVE, SICK, RETIRED\)$/
    ],
    [
      "a boolean's words in another form",
      { columns: ["away"], words: { away: { paused: ["t"] } } },
      /can never be: t /
    ],
    [
      "words of another column",
      { words: { ...words, name: { Ada: ["Ada"] } } },
      /words for a column that it does not watch/
    ],
    ["a view", { relation: "public.away" }, /it must be an ordinary table, but it is partitioned, a view/],
    [
      "a key that is there twice",
      { key: "name" },
      /the key name may be null, .*alter name set not null, add unique \(name\)/
    ],
    ["a table that is not there", { relation: "public.nobody" }, /there is no such table/],
    ["no columns", { columns: [] }, /it names no columns/],
    [
      "a condition with a column that it does not watch",
      { condition: "new.name is null" },
      /payload do not fit: .*name/
    ],
    ["a condition that is no SQL", { condition: "new.state = ('x'" }, /payload do not fit: unexpected end/],
    ["a payload of something that is not there", { payload: "jsonb_build_object('id', new.id)" }, /do not fit: .*id/],
    ["users that nobody knows", { visible_to: "public.mentors_of" }, /there is no function public.mentors_of\(uuid\)/],
    ["an operation that makes no event", { operations: ["DELETE"] }, /topics_watch_insert_or_update/]
  ])("is refused with %s, and an earlier declaration stays", async ([, changes, says]) => {
    await own.rows(`
      alter table public.mentors add away boolean;
      create view public.away as select * from public.mentors where state <> 'ACTIVE';
      insert into public.mentors values (1, 'ACTIVE')`)
    await declare(own, "mentor-away", { words })
    const before = await watched(own)
    const refusal = await declare(own, "mentor-away", changes).then(
      () => "not refused",
      (error: Error & { readonly hint?: string }) => `${error.message} (${error.hint})`
    )
    assert.match(refusal, says)
    assert.deepStrictEqual(await watched(own), before)
    await change(1, "SICK")
    assert.lengthOf(await capturedIn(own), 1)
    await declare(own, "other", changes).catch(() => {})
    assert.lengthOf((await watched(own)).topics, before.topics.length)
  })

  it.for(["", "Mentor", "mentor_away", "-away", "away--again", "a".repeat(41), "1st"])(
    "is not called %o",
    async (topic) => {
      const refusal = await failureOf(declare(own, topic))
      assert.include(refusal, "topics_are_words_with_hyphens")
    }
  )

  it("starts from the current rows whenever its table or its words change", async () => {
    await own.rows("insert into public.mentors values (1, 'ACTIVE'), (2, 'RETIRED')")
    await declare(own, "mentor-away", { words })
    await declare(own, "mentor-away", { words: { state: { active: ["ACTIVE"], paused: ["RETIRED"] } } })
    assert.deepStrictEqual(await own.rows("select outbox.reconcile() as queued"), [{ queued: 0 }])
    await change(1, "SICK", "RETIRED")
    await change(2, "ACTIVE")
    assert.deepStrictEqual(
      (await capturedIn(own)).map(({ key, ...event }) => [key, event.version]),
      [
        ["1", 1],
        ["2", 1]
      ]
    )
    await own.rows(
      "create table public.others (like public.mentors including all); insert into public.others values (1, 'ACTIVE')"
    )
    await declare(own, "mentor-away", { words, relation: "public.others" })
    await change(2, "SICK")
    await own.rows("update public.others set state = 'SICK'")
    assert.deepStrictEqual(
      (await capturedIn(own)).map(({ key, ...event }) => [key, event.version]),
      [
        ["1", 1],
        ["2", 1],
        ["1", 2]
      ]
    )
  })

  it("ends with outbox.unwatch(): queued events are still delivered, and versions continue later", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    await own.rows("select outbox.unwatch('pause-status')")
    const { topics, triggers } = await watched(own)
    assert.deepStrictEqual({ topics, triggers }, { topics: [], triggers: [] })
    assert.deepStrictEqual(
      await own.rows(
        "select p.proname from pg_proc p where p.pronamespace = 'outbox'::regnamespace and p.proname like 'pause_status%'"
      ),
      []
    )
    await setStatus(own, mentor, "active", "paused", "active")
    await own.rows("select outbox.sweep(), outbox.reconcile(), outbox.watch(), outbox.forget_settled()")
    const { event_id } = await eventOf(own, mentor)
    const { body } = await own.row<{ body: object }>("select outbox.body(q) as body from outbox.events q")
    assert.deepInclude(body, { topic: "pause-status", event_id, version: 1, record: { id: mentor, status: "paused" } })
    assert.doesNotHaveAnyKeys(body, ["schema", "table"])
    assert.include(await settle(own, event_id), { outcome: "completed" })
    assert.include(await own.call<object>("outbox_get_event", { topic: "pause-status", event_id }), {
      status: "completed"
    })
    assert.deepStrictEqual(await own.rows("select kind from outbox.alerts"), [])
    assert.match(
      await failureOf(own.rows("select outbox.unwatch('pause-status')")),
      /^P0002: there is no topic pause-status/
    )

    await own.migrate()
    assert.lengthOf(await eventsOf(own, mentor), 1)
    await setStatus(own, mentor, "paused")
    assert.deepStrictEqual(
      (await eventsOf(own, mentor)).map(({ transition, version }) => [version, transition]),
      [
        [1, "PAUSE"],
        [2, "PAUSE"]
      ]
    )
  })

  it("is not unwatched while its events are on their way to its own function", async () => {
    await own.rows("insert into public.mentors values (1, 'ACTIVE')")
    await declare(own, "pause-status", { words, function_url: "own_function_url" })
    await change(1, "SICK")
    const unwatch = () => failureOf(own.rows("select outbox.unwatch('pause-status')"))
    assert.match(await unwatch(), /^55006: topic pause-status has events on their way/)
    await own.rows("select outbox.feed_by('pause-status', 'webhook')")
    await change(1, "ACTIVE")
    const captured = await capturedIn(own)
    assert.lengthOf(captured, 1)
    await own.rows("select outbox.resolve(event_id, 'told by telephone') from outbox.events")
    assert.match(await unwatch(), /^no failure/)
  })
})
