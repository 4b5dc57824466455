import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { needsDatabase, refused } from "./Check.ts"
import { type Finding, ok, type Verdict, verdictOf, wrong, type Wrong } from "./Finding.ts"
import { type Database, QueryFailed } from "../Database.ts"
import { Sources } from "./Sources.ts"

/** How to write to this project's table of mentors, in SQL made from its topic. */
const Plan = Schema.Struct({
  release: Schema.String,
  pause: Schema.String,
  resume: Schema.String,
  remove: Schema.String
})

// Makes a key if the column has no default, and a value for each other column that needs one, such as a name. It is one
// statement, so that a failed insert leaves nothing behind.
const plan = `
  select
    format(
      'with coordinator as (insert into public.coordinators (id) values (gen_random_uuid()) returning id),
        mentor as (insert into %s (%s) select %s returning %I::text as key),
        pair as (
          insert into public.mentor_coordinators (mentor_id, coordinator_id)
          select outbox.mentor_id(mentor.key), coordinator.id from mentor, coordinator
        )
      select mentor.key, coordinator.id::text as coordinator from mentor, coordinator',
      t.relation,
      concat_ws(', ', case when k.made is not null then quote_ident(t.key_column) end, quote_ident(c.name), o.names),
      concat_ws(', ', k.made, quote_literal(t.words -> c.name -> 'active' ->> 0), o.made), t.key_column
    ) as release,
    format('update %s set %I = %L where %I::text = $1', t.relation, c.name, t.words -> c.name -> 'paused' ->> 0, t.key_column)
      as pause,
    format('update %s set %I = %L where %I::text = $1', t.relation, c.name, t.words -> c.name -> 'active' ->> 0, t.key_column)
      as resume,
    format('delete from %s where %I::text = $1', t.relation, t.key_column) as remove
  from outbox.topics t
  cross join lateral (select t.columns[1] as name) c
  join pg_attribute a on a.attrelid = to_regclass(t.relation) and a.attname = t.key_column
  cross join lateral (
    select case
      when a.atthasdef or a.attidentity <> '' then null
      when t.key_type = 'uuid' then 'gen_random_uuid()'
      when t.key_type in ('text', 'character varying') then '''doctor-'' || gen_random_uuid()'
      else format('(select coalesce(max(m.%I), 0) + 1 from %s m)', t.key_column, t.relation)
    end as made
  ) k
  cross join lateral (
    select string_agg(quote_ident(m.name), ', ' order by m.name) as names,
      string_agg(format('(%s)::%s', m.made, m.type), ', ' order by m.name) as made
    from (
      select o.attname as name, format_type(o.atttypid, o.atttypmod) as type, case
        when y.typtype = 'e' then (
          select quote_literal(e.enumlabel) from pg_enum e where e.enumtypid = y.oid order by e.enumsortorder limit 1
        )
        when y.typcategory = 'S' then '''doctor-'' || gen_random_uuid()'
        when y.typcategory = 'N' then '0'
        when y.typcategory = 'B' then 'false'
        when y.typcategory = 'D' then 'now()'
        when y.typcategory = 'A' or y.typname in ('json', 'jsonb') then '''{}'''
        when y.typname = 'uuid' then 'gen_random_uuid()'
      end as made
      from pg_attribute o
      join pg_type y on y.oid = o.atttypid
      where o.attrelid = a.attrelid and o.attnum > 0 and not o.attisdropped
        and o.attnotnull and not o.atthasdef and o.attidentity = '' and o.attname not in (t.key_column, c.name)
    ) m
    where m.made is not null
  ) o
  where t.topic = 'pause-status' and t.fed_by = 'outbox' and t.words -> c.name ?& array['active', 'paused']`

const Released = Schema.Struct({ key: Schema.String, coordinator: Schema.String })

const State = Schema.Struct({
  status: Schema.String,
  error: Schema.NullOr(Schema.String),
  notified: Schema.NullOr(Schema.Int),
  millis: Schema.NullOr(Schema.Int)
})
type State = typeof State.Type

const states = `
  select q.status, q.last_error as error, (q.receipt ->> 'notified')::int as notified,
    (extract(epoch from q.completed_at - q.created_at) * 1000)::int as millis
  from outbox.events q where q.topic = 'pause-status' and q.key = $1 order by q.version`

// The events of the canary, and of its coordinator, who has no address to mail to.
const events = "from outbox.events q where q.topic in ('pause-status', 'notification-mail') and q.key = $1"
const resolution = `select outbox.resolve(q.event_id, 'the doctor''s canary') ${events} and q.status in ('pending', 'failed')`
const removal = [
  "delete from public.notifications n where n.mentor_id = outbox.mentor_id($1)",
  "delete from public.mentor_coordinators m where m.mentor_id = outbox.mentor_id($1)"
]
const erasure = `select outbox.erase(q.event_id) ${events}`

type Session = Database["Service"]

const Nothing = Schema.Struct({})

/** How the change went, or undefined if it is not finished. */
export const judgeChange = (change: string, state: State | undefined, waited: Duration.Duration): Verdict => {
  const cure = "See the other lines; then: select * from outbox.event_history('<event id>')"
  if (state === undefined)
    return wrong(`The canary's ${change} made no event.`, "Do what the lines above say about triggers.")
  if (state.status === "failed") return wrong(`The canary's ${change} became a dead letter: ${state.error}.`, cure)
  if (state.status !== "completed") {
    const why = state.error === null ? "" : `: ${state.error}`
    return wrong(`The canary's ${change} is ${state.status} after ${Duration.format(waited)}${why}.`, cure)
  }
  return state.notified === 0
    ? wrong(`The canary's ${change} reached nobody.`, "Does the orchestrator read public.mentor_coordinators?")
    : ok(`${change} notified after ${state.millis}\u00A0ms`)
}

const waitFor = ({ rows }: Session, key: string, events: number, within: Duration.Duration) => {
  const look = Effect.map(rows(State, states, [key]), (found) => found[events - 1])
  const isOver = (state: State | undefined) => state?.status === "completed" || state?.status === "failed"
  return look.pipe(
    Effect.repeat({ until: isOver, schedule: Schedule.spaced("100 millis") }),
    Effect.timeoutOrElse({ duration: within, orElse: () => look })
  )
}

const Left = Schema.Struct({ statement: Schema.String })

// A delivery in progress cannot be stopped. It may even write its notifications after this.
const left = `select format('select outbox.erase(%L)', q.event_id) as statement ${events}`

// The mails' events begin when the canary's end, and take a moment.
const eraseMails = ({ rows }: Pick<Session, "rows">, coordinator: string) => {
  const erase = Effect.gen(function* () {
    yield* rows(Nothing, resolution, [coordinator])
    yield* rows(Nothing, erasure, [coordinator])
    return yield* rows(Left, left, [coordinator])
  })
  return erase.pipe(
    Effect.repeat({ until: (found) => found.length === 0, schedule: Schedule.spaced("200 millis") }),
    Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => erase })
  )
}

/** Removes the canary and everything that it caused, and returns what could not be removed. */
const remove = Effect.fnUntraced(function* (
  { rows }: Session,
  { remove }: typeof Plan.Type,
  { coordinator, key }: typeof Released.Type
): Effect.fn.Return<ReadonlyArray<Wrong>> {
  const statements: ReadonlyArray<readonly [string, string]> = [
    [resolution, key],
    ...removal.map((statement) => [statement, key] as const),
    [remove, key],
    ["delete from public.coordinators c where c.id = $1::uuid", coordinator],
    [erasure, key]
  ]
  const results = yield* Effect.forEach(statements, ([statement, value]) =>
    Effect.result(rows(Nothing, statement, [value]))
  )
  const [failed] = results.flatMap((result) => (result._tag === "Failure" ? result.failure : []))
  const cure = `Delete the mentor ${key} and the coordinator ${coordinator} by hand.`
  if (failed !== undefined) return [{ detail: `The canary could not be removed: ${failed.message}.`, cure }]
  const found = yield* Effect.all([rows(Left, left, [key]), eraseMails({ rows }, coordinator)]).pipe(
    Effect.orElseSucceed(() => [])
  )
  return found.flat().map(({ statement }) => ({
    detail: `An event of the canary ${key} is still being handled.`,
    cure: `In a minute, run: ${statement}; delete from public.notifications where mentor_id = '${key}'`
  }))
})

const fly = Effect.fnUntraced(function* (database: Session, within: Duration.Duration) {
  const [found] = yield* database.read(Plan, plan)
  if (found === undefined) {
    return wrong("There is no topic pause-status with words for active and paused.", "Declare it: see docs/topics.md.")
  }
  const change = Effect.fnUntraced(function* (name: string, statement: string, key: string, events: number) {
    yield* database.rows(Nothing, statement, [key])
    return judgeChange(name, yield* waitFor(database, key, events, within), within)
  })
  const flight = Effect.fnUntraced(function* (key: string) {
    const paused = yield* change("pause", found.pause, key, 1)
    if (paused._tag !== "Ok") return paused
    const resumed = yield* change("resume", found.resume, key, 2)
    return resumed._tag === "Ok" ? ok(`${paused.seen}, ${resumed.seen}`) : resumed
  })
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const [released] = yield* database.rows(Released, found.release)
      if (released === undefined) return yield* new QueryFailed({ code: "", message: "no row was inserted" })
      const flown = flight(released.key).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
      const exit = yield* Effect.exit(restore(flown))
      const stays = yield* remove(database, found, released)
      const verdict = yield* exit
      return stays.length === 0
        ? verdict
        : verdictOf([...(verdict._tag === "Wrong" ? verdict.wrong : []), ...stays], "")
    })
  )
})

/**
 * Creates a mentor with a coordinator, pauses and resumes the mentor, waits for both notifications, and removes
 * everything. This is the only part of the doctor that writes.
 */
export const canary = (within: Duration.Input = "60 seconds") =>
  Effect.gen(function* () {
    const { database } = yield* Sources
    if (Option.isNone(database)) return needsDatabase
    return yield* fly(database.value, Duration.fromInputUnsafe(within))
  }).pipe(
    Effect.catch(({ message }) =>
      Effect.succeed(
        wrong(
          `A canary cannot be inserted: ${message}.`,
          "Give that column a default, or pause a mentor of your own by hand."
        )
      )
    ),
    Effect.map((verdict): Finding => ({ name: "canary", verdict }))
  )
