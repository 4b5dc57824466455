import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { canary } from "../../../cli/doctor/Canary.ts"
import { examined, sourcesOf, wrongIn } from "../../support/doctor.ts"
import { type Database, openDatabase } from "../../support/sql.ts"

const counts = `
  select (select count(*) from public.mentors)::int as mentors, (select count(*) from public.coordinators)::int as coordinators,
    (select count(*) from public.mentor_coordinators)::int as pairs, (select count(*) from outbox.events)::int as events,
    (select count(*) from outbox.keys)::int as keys`

/** A project whose mentors have a table, a key and words of their own. Nobody delivers anything here. */
const projectOf = async (key: string, type: string): Promise<Database> => {
  const database = await openDatabase({ migrate: false })
  await database.rows(`
    create type public.presence as enum ('ACTIVE', 'ON_LEAVE', 'RETIRED');
    create table public.mentors (mentor_no ${key}, state public.presence not null);
    create table public.coordinators (id uuid primary key default gen_random_uuid());
    create table public.mentor_coordinators (
      mentor_id ${type} references public.mentors (mentor_no), coordinator_id uuid references public.coordinators (id)
    );
    insert into public.mentors (mentor_no, state) overriding system value values ('1', 'ACTIVE')`)
  await database.migrate({
    replace: [
      /perform outbox\.watch\(\n {4}topic => 'pause-status'[\s\S]*?\n {2}\);/,
      `perform outbox.watch(topic => 'pause-status', relation => 'public.mentors', key => 'mentor_no', columns => '{state}',
        words => '{"state": {"active": ["ACTIVE"], "paused": ["ON_LEAVE"]}}', visible_to => 'outbox.mentors_of',
        payload => $p$jsonb_build_object('id', new.mentor_no, 'status', new.state)$p$);`
    ]
  })
  await database.rows("create table public.seen (event text)")
  await database.rows(`
    create function public.see() returns trigger language plpgsql as $$
    begin
      insert into public.seen values (new.type || ' ' || new.record::text);
      return new;
    end $$`)
  await database.rows("create trigger see after insert on outbox.events for each row execute function public.see()")
  return database
}

describe("the canary of a project with tables of its own", () => {
  it.live.each([
    ["a bigint without a default", "bigint primary key", "bigint", /^UPDATE \{"id": "2", "status": "paused"\}$/],
    [
      "a generated bigint",
      "bigint generated always as identity (start with 7) primary key",
      "bigint",
      /^UPDATE \{"id": "7", "status": "paused"\}$/
    ],
    ["a text", "text primary key", "text", /^UPDATE \{"id": "doctor-[0-9a-f-]{36}", "status": "paused"\}$/]
  ] as const)("whose key is %s is paused in its words, and removed", ([, key, type, event]) =>
    Effect.gen(function* () {
      const database = yield* Effect.acquireRelease(
        Effect.promise(() => projectOf(key, type)),
        (database) => Effect.promise(() => database[Symbol.asyncDispose]())
      )
      const before = yield* Effect.promise(() => database.row(counts))
      const { verdict } = yield* Effect.provide(canary("1 milli"), sourcesOf({ databaseUrl: database.url }))
      assert.strictEqual(verdict._tag, "Wrong")
      assert.match(JSON.stringify(verdict), /pause is pending after 1ms/)
      const seen = yield* Effect.promise(() => database.rows<{ event: string }>("select event from public.seen"))
      assert.lengthOf(seen, 1)
      assert.match(String(seen[0]?.event), event)
      assert.deepStrictEqual(yield* Effect.promise(() => database.row(counts)), before)
    }).pipe(Effect.scoped)
  )
})

describe("doctor in a project with tables of its own", () => {
  it.live("says which words of the enum are ignored, and which mentor has no coordinator", () =>
    Effect.gen(function* () {
      const database = yield* Effect.acquireRelease(
        Effect.promise(() => projectOf("bigint primary key", "bigint")),
        (database) => Effect.promise(() => database[Symbol.asyncDispose]())
      )
      const findings = yield* examined({ databaseUrl: database.url })
      assert.deepInclude(findings, {
        name: "words",
        verdict: { _tag: "Ok", seen: "public.mentors.state; ignored: RETIRED" }
      })
      // Nothing is stored in this Vault.
      assert.deepStrictEqual(Object.keys(wrongIn(findings)), ["coordinators", "function url"])
      assert.match(String(wrongIn(findings)["coordinators"]), /1 mentor has no existing coordinator: 1 →/)
    }).pipe(Effect.scoped)
  )
})
