import type { Database } from "./sql.ts"

/** What watches the project's tables, and what came of that. */
export const watched = async (database: Database) => ({
  topics: await database.rows("select topic, relation, columns from outbox.topics"),
  triggers: await database.rows(
    `select t.tgname from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid
     where p.pronamespace = 'outbox'::regnamespace and c.relnamespace <> 'outbox'::regnamespace
       and p.proname <> 'touch'
     order by t.tgname`
  ),
  keys: await database.rows("select topic, key from outbox.keys"),
  events: await database.rows("select topic, key from outbox.events")
})

export interface Captured {
  readonly topic: string
  readonly key: string
  readonly version: number
  readonly type: string
  readonly record: object
  readonly old_record: object | null
}

export const capturedIn = (database: Database) =>
  database.rows<Captured>(
    "select topic, key, version::int, type, record, old_record from outbox.events order by created_at, topic, key, version"
  )

/** The event of a first pause, with the words of pause-status. */
export const pauseOf = (key: string) => ({
  topic: "pause-status",
  key,
  version: 1,
  type: "UPDATE",
  record: { id: key, status: "paused" },
  old_record: { id: key, status: "active" }
})

export const enumOf = (...words: ReadonlyArray<string>) =>
  `create type public.mentor_status as enum (${words.map((word) => `'${word}'`).join(", ")});`
