import { assert, describe, it } from "vitest"
import { capturedIn, enumOf, pauseOf, watched } from "../../support/captured.ts"
import { createMentor, type Database, givenEvent, openDatabase, setStatus } from "../../support/sql.ts"

/** Applies the migrations, and returns what they are refused for and what is to be done. */
const refusalOf = (database: Database): Promise<string> =>
  database.migrate().then(
    () => "not refused",
    (error: Error & { readonly hint?: string }) => `${error.message} (${error.hint})`
  )

const nothing = { topics: [], triggers: [], keys: [], events: [] }

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
  ])("are accepted with %s, and pauses are captured", async ([, columns]) => {
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

  it("are accepted if notifications has more columns, and rows are written as in our table", async () => {
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

  it("are not confused with temporary tables of the session that installs", async () => {
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
