import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  failureOf,
  givenEvent,
  openDatabase,
  openReadyDatabase,
  setStatus,
  settle
} from "../../support/sql.ts"

/** Applies the migrations, and returns what they are refused for and what is to be done. */
const refusalOf = (database: Database): Promise<string> =>
  database.migrate().then(
    () => "not refused",
    (error: Error & { readonly hint?: string }) => `${error.message} (${error.hint})`
  )

/** What watches the project's tables, and what came of that. */
const watched = async (database: Database) => ({
  topics: await database.rows("select topic, relation, columns from outbox.topics"),
  triggers: await database.rows(
    `select t.tgname from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid
     where p.pronamespace = 'outbox'::regnamespace and c.relnamespace <> 'outbox'::regnamespace
       and p.proname <> 'touch'`
  ),
  keys: await database.rows("select topic, key from outbox.keys"),
  events: await database.rows("select topic, key from outbox.events")
})

interface Captured {
  readonly topic: string
  readonly key: string
  readonly version: number
  readonly type: string
  readonly record: object
  readonly old_record: object | null
}

const capturedIn = (database: Database) =>
  database.rows<Captured>(
    "select topic, key, version::int, type, record, old_record from outbox.events order by created_at, topic, key, version"
  )

/** The event of a first pause, with the words of pause-status. */
const pauseOf = (key: string) => ({
  topic: "pause-status",
  key,
  version: 1,
  type: "UPDATE",
  record: { id: key, status: "paused" },
  old_record: { id: key, status: "active" }
})

const nothing = { topics: [], triggers: [], keys: [], events: [] }

const enumOf = (...words: ReadonlyArray<string>) =>
  `create type public.mentor_status as enum (${words.map((word) => `'${word}'`).join(", ")});`

const notifications = (changes: string, version = "bigint") => `
  create table public.notifications (
    id uuid, event_id uuid, mentor_id uuid, coordinator_id uuid, transition text, version ${version}${changes}
  )`

describe("a project's own tables", () => {
  it.for<readonly [what: string, statements: string, says: string]>([
    [
      "an id of no exact text form",
      "create table public.peer_mentor_profiles (id double precision primary key, status text)",
      "the key id must be uuid, a whole number or text, but it is double precision"
    ],
    [
      "an id of another type than the coordinators know",
      `create table public.peer_mentor_profiles (id bigint primary key, status text);
       create table public.mentor_coordinators (mentor_id uuid, coordinator_id uuid)`,
      "public.mentor_coordinators.mentor_id must be of the type of the key of public.peer_mentor_profiles"
    ],
    [
      "an id of a domain",
      `create domain public.mentor_id as uuid;
       create table public.peer_mentor_profiles (id public.mentor_id primary key, status text)`,
      "the key id must be uuid, a whole number or text, but it is public.mentor_id"
    ],
    [
      "no status",
      "create table public.peer_mentor_profiles (id uuid primary key)",
      "topic pause-status cannot watch public.peer_mentor_profiles: there is no column status (Its columns are id)"
    ],
    [
      "a status that is a number",
      "create table public.peer_mentor_profiles (id uuid primary key, status integer)",
      "status of type integer can never be: active, paused"
    ],
    [
      "a status of a domain over an enum without the two words",
      `${enumOf("Active", "paused")}
       create domain public.own_status as public.mentor_status;
       create table public.peer_mentor_profiles (id uuid primary key, status public.own_status)`,
      "status of type public.own_status can never be: active (Its words are Active, paused)"
    ],
    [
      "an enum without the two words",
      `${enumOf("Active", "paused", "left")}
       create table public.peer_mentor_profiles (id uuid primary key, status public.mentor_status)`,
      "status of type public.mentor_status can never be: active (Its words are Active, paused, left)"
    ],
    [
      "a status of a domain that forbids one of the two words",
      `create domain public.own_status as text check (value in ('active', 'away'));
       create table public.peer_mentor_profiles (id uuid primary key, status public.own_status)`,
      "status of type public.own_status can never be: paused"
    ],
    [
      "coordinators with another id",
      "create table public.coordinators (id integer primary key)",
      "public.coordinators.id must be of type uuid"
    ],
    [
      "links without a coordinator",
      "create table public.mentor_coordinators (mentor_id uuid, coordinator text)",
      "public.mentor_coordinators.coordinator_id must be of type uuid, but there is no such column"
    ],
    [
      "a view in the place of the profiles",
      "create view public.peer_mentor_profiles as select gen_random_uuid() as id, 'active' as status",
      "cannot watch public.peer_mentor_profiles: it must be an ordinary table, but it is partitioned, a view"
    ],
    [
      "a key of tenant and id",
      `create table public.peer_mentor_profiles (
         tenant integer, id uuid not null, status text, primary key (tenant, id)
       )`,
      "Run: alter table public.peer_mentor_profiles alter id set not null, add unique (id)"
    ],
    [
      "no key",
      "create table public.peer_mentor_profiles (id uuid not null, status text)",
      "the key id may be null, or may be there twice"
    ],
    [
      "an id that may be there twice until the commit",
      "create table public.peer_mentor_profiles (id uuid primary key deferrable initially deferred, status text)",
      "the key id may be null, or may be there twice"
    ],
    [
      "an id that may be null",
      "create table public.peer_mentor_profiles (id uuid unique, status text)",
      "the key id may be null, or may be there twice"
    ],
    [
      "an id that is unique among some rows",
      `create table public.peer_mentor_profiles (id uuid not null, status text);
       create unique index on public.peer_mentor_profiles (id) where status <> 'deleted'`,
      "the key id may be null, or may be there twice"
    ],
    [
      "an id that is unique only as text",
      `create table public.peer_mentor_profiles (id uuid not null, status text);
       create unique index on public.peer_mentor_profiles (left(status, 5), id);
       create unique index on public.peer_mentor_profiles (cast(id as text))`,
      "the key id may be null, or may be there twice"
    ],
    [
      "partitions",
      "create table public.peer_mentor_profiles (id uuid primary key, status text) partition by hash (id)",
      "must be an ordinary table, but it is partitioned"
    ],
    [
      "a partition in the place of the profiles",
      `create table public.everybody (id uuid primary key, status text) partition by hash (id);
       create table public.peer_mentor_profiles partition of public.everybody for values with (modulus 1, remainder 0)`,
      "must stand for itself"
    ],
    [
      "profiles that another table inherits",
      `create table public.peer_mentor_profiles (id uuid primary key, status text);
       create table public.senior_mentor_profiles () inherits (public.peer_mentor_profiles)`,
      "must stand for itself"
    ],
    [
      "notifications of another purpose",
      "create table public.notifications (id uuid primary key, user_id uuid, transition text)",
      "it lacks event_id uuid, mentor_id uuid, coordinator_id uuid, version bigint"
    ],
    [
      "notifications without a unique key",
      notifications(", primary key (event_id, coordinator_id, transition)"),
      "Run: alter table public.notifications add unique (event_id, coordinator_id)"
    ],
    [
      "notifications that are unique only at the commit",
      notifications(", unique (event_id, coordinator_id) deferrable"),
      "does not keep a coordinator from being told twice"
    ],
    [
      "notifications that are unique only among some rows",
      `${notifications(", read_at timestamptz")};
       create unique index on public.notifications (event_id, coordinator_id) where read_at is null`,
      "does not keep a coordinator from being told twice"
    ],
    [
      "notifications that ask for more",
      notifications(", unique (event_id, coordinator_id), user_id uuid not null, read boolean not null default false"),
      "asks for what is not always known: user_id"
    ],
    [
      "notifications that ask for a version",
      notifications(", unique (event_id, coordinator_id)", "bigint not null"),
      "asks for what is not always known: version"
    ],
    [
      "notifications that generate what is written",
      `create table public.notifications (
         id uuid, event_id uuid, mentor_id uuid, coordinator_id uuid, version bigint,
         transition text generated always as ('PAUSE') stored, unique (event_id, coordinator_id)
       )`,
      "it lacks transition text"
    ],
    [
      "notifications of existing mentors only",
      `create table public.mentors (id uuid primary key);
       ${notifications(", unique (event_id, coordinator_id), foreign key (mentor_id) references public.mentors")}`,
      "a mentor or an event may be gone"
    ],
    [
      "a view in the place of the notifications",
      `create view public.notifications as
       select null::uuid as id, null::uuid as event_id, null::uuid as mentor_id, null::uuid as coordinator_id,
         null::text as transition, null::bigint as version`,
      "must be a table without rules"
    ]
  ])("are refused, and nothing is watched, when there is %s", async ([, statements, says]) => {
    await using database = await openDatabase({ migrate: false })
    await database.rows(statements)
    assert.include(await refusalOf(database), says)
    assert.deepStrictEqual(await watched(database), nothing)
    // The engine without a topic is harmless.
    assert.deepStrictEqual(await database.rows("select outbox.sweep(), outbox.reconcile(), outbox.forget_settled()"), [
      { sweep: 0, reconcile: 0, forget_settled: 0 }
    ])
  })

  it.for<readonly [what: string, statements: string]>([
    ["a unique id beside the key", "(tenant integer, id uuid not null unique, status text, primary key (tenant, id))"],
    [
      "an immediate key beside one that may be deferred",
      "(id uuid primary key deferrable initially deferred, status text, unique (id))"
    ],
    ["a key with other columns in its index", "(id uuid, status text, primary key (id) include (status))"],
    ["a status of a domain over text", "(id uuid primary key, status public.word)"],
    ["a status of a domain over an enum", "(id uuid primary key, status public.own_status)"],
    ["a status of an enum", "(id uuid primary key, status public.mentor_status)"],
    ["an id that is a number", "(id bigint generated always as identity primary key, status text)"],
    ["an id that is a text", "(id varchar(40) primary key, status varchar(10))"],
    [
      "a generated status",
      `(id uuid primary key, away boolean not null default false,
        status text generated always as (case when away then 'paused' else 'active' end) stored)`
    ]
  ])("are taken with %s, and pauses are captured", async ([, columns]) => {
    await using database = await openDatabase({ migrate: false })
    await database.rows(`
      create domain public.word as text check (value <> '');
      ${enumOf("active", "on leave", "paused")}
      create domain public.own_status as public.mentor_status`)
    await database.rows(`create table public.peer_mentor_profiles ${columns}`)
    await database.migrate()
    await database.migrate()
    const generated = columns.includes("away")
    const numbered = columns.includes("identity")
    const given = [...(numbered ? [] : [["id", "gen_random_uuid()"]]), ...(generated ? [] : [["status", "'active'"]])]
    if (columns.includes("tenant")) given.push(["tenant", "1"])
    await database.rows(`
      insert into public.peer_mentor_profiles (${given.map(([name]) => name).join(", ")})
      values (${given.map(([, value]) => value).join(", ")})`)
    await database.rows(`update public.peer_mentor_profiles set ${generated ? "away = true" : "status = 'paused'"}`)
    const { id } = await database.row<{ id: string }>("select id::text from public.peer_mentor_profiles")
    assert.deepStrictEqual(await capturedIn(database), [pauseOf(id)])
    // Whose coordinators can be told, whatever type the id has.
    await database.rows(`
      with c as (insert into public.coordinators default values returning id)
      insert into public.mentor_coordinators select p.id, c.id from public.peer_mentor_profiles p, c`)
    const { event_id } = await database.row<{ event_id: string }>("select event_id from outbox.events")
    const [told] = await database.rpc("pause_status_notify", { events: [await givenEvent(database, event_id)] })
    assert.nestedInclude(told, { outcome: "notified", "receipt.notified": 1, "receipt.mentorId": id })
  })

  it("are taken with notifications that have more columns, which are written as in a table of ours", async () => {
    await using database = await openDatabase({ migrate: false })
    await database.rows(`
      ${notifications(`, serial bigint generated always as identity primary key, read boolean not null default false,
        unique (coordinator_id, event_id)`)};
      create table public.coordinators (id uuid primary key);
      insert into public.coordinators values (gen_random_uuid())`)
    await database.migrate()
    await database.rows("insert into public.mentor_coordinators select gen_random_uuid(), id from public.coordinators")
    const [answer] = await database.rpc("pause_status_notify", {
      events: [
        {
          eventId: "7f000001-0000-4000-8000-000000000001",
          mentorId: (await database.row<{ id: string }>("select mentor_id as id from public.mentor_coordinators")).id,
          transition: "PAUSE",
          oldStatus: "active",
          newStatus: "paused",
          occurredAt: "2026-11-22T10:00:00Z",
          source: "webhook"
        }
      ]
    })
    assert.nestedInclude(answer, { outcome: "notified", "receipt.notified": 1 })
  })

  it("are not taken for temporary ones of the session that installs", async () => {
    await using database = await openDatabase({ migrate: false })
    const temporary = ["peer_mentor_profiles", "coordinators", "mentor_coordinators", "notifications", "pg_index"]
      .map((name) => `create temporary table if not exists ${name} (x integer);`)
      .join("\n")
    await database.migrate({ replace: [/^/, temporary] })
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    assert.deepStrictEqual(await capturedIn(database), [pauseOf(mentor)])
  })
})

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

  it("has another table, a key that is a number, and words of its own: what is sent is pause-status", async () => {
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

  it("sends inserts if it says so, values as they are without words, and what its condition lets pass", async () => {
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

  it("stands beside another one on the same table, with versions of its own", async () => {
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

  it("starts from what is there whenever its table or its words change", async () => {
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

  it("ends with outbox.unwatch(): what is queued is still delivered, and versions go on when it comes back", async () => {
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

  it("is not unwatched while events of it are on their way to a function of its own", async () => {
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
