import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Check, inDatabase, needsDatabase, ofOutbox, refused, rowsOf } from "../Check.ts"
import { count, ok, type Verdict, verdictOf, wrong, type Wrong } from "../Finding.ts"

const triggers = ofOutbox("triggers", ({ topics }) =>
  topics.length === 0
    ? wrong("No topic is declared, so nothing is captured.", "Call outbox.watch(): see docs/topics.md.")
    : verdictOf(
        topics.flatMap(({ problem, topic }) =>
          problem === undefined
            ? []
            : {
                detail: `${topic}: ${problem}.`,
                cure: "Do what it says, or apply the migrations again; then: select outbox.reconcile()"
              }
        ),
        topics.map(({ topic }) => topic).join(", ")
      )
)

// outbox.watch() notes in the triggers' comment which declaration it made them from.
const declarations = inDatabase("declarations", {
  query: `
    select t.topic, bool_and(
      coalesce(obj_description(x.oid, 'pg_trigger'), '') = 'outbox.watch() of ' || (to_jsonb(t) - 'created_at')::text
        and position(changed.prosrc in outbox.changed_sql(t)) > 0
        and coalesce(position(capture.prosrc in outbox.capture_sql(t)), 0) > 0
    ) as agrees
    from outbox.topics t
    cross join lateral outbox.triggers_of(t) o
    join pg_trigger x on x.tgrelid = to_regclass(t.relation) and x.tgname = o.name
    join pg_proc changed on changed.oid = x.tgfoid
    left join pg_proc capture on capture.pronamespace = 'outbox'::regnamespace
      and capture.proname = outbox.routine(t.topic, 'capture')
    where (select s.problem from outbox.topic_problem(t) s) is null
    group by t.topic order by 1`,
  row: Schema.Struct({ topic: Schema.String, agrees: Schema.Boolean }),
  judge: (rows) =>
    verdictOf(
      rows.flatMap(({ agrees, topic }) =>
        agrees
          ? []
          : {
              detail: `The triggers of ${topic} were not made from the declaration in outbox.topics.`,
              cure: `Run: select outbox.feed_by('${topic}', fed_by) from outbox.topics where topic = '${topic}'`
            }
      ),
      "the triggers do what outbox.topics says"
    )
})

const Worded = Schema.Struct({
  topic: Schema.String,
  relation: Schema.String,
  column: Schema.String,
  words: Schema.Record(Schema.String, Schema.Array(Schema.String)),
  labels: Schema.NullOr(Schema.Array(Schema.String)),
  sample: Schema.String
})
type Worded = typeof Worded.Type

const Value = Schema.Struct({ value: Schema.NullOr(Schema.String) })

const plain = (text: string): string => text.trim().toLowerCase()

/** What is wrong with a column's words, compared with the values of its rows. */
export const judgeWords = (
  { column, relation, topic, words }: Pick<Worded, "column" | "relation" | "topic" | "words">,
  values: ReadonlyArray<string>
): ReadonlyArray<Wrong> => {
  const named = Object.values(words).flat()
  const cure = `Name the value in words of outbox.watch('${topic}', …): see docs/topics.md. Or correct the rows.`
  const list = values.slice(0, 5).join(", ")
  if (values.length > 0 && !values.some((value) => named.includes(value))) {
    return [{ detail: `No row of ${relation} has a ${column} that ${topic} knows, only: ${list}.`, cure }]
  }
  return values
    .filter((value) => !named.includes(value) && named.some((word) => plain(word) === plain(value)))
    .map((value) => ({ detail: `${relation}.${column} has the value "${value}", which ${topic} ignores.`, cure }))
}

const words: Check = {
  name: "words",
  check: Effect.gen(function* () {
    const worded = yield* rowsOf(
      Worded,
      `select t.topic, t.relation, c.name as column, t.words -> c.name as words,
         (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = a.atttypid) as labels,
         format('select distinct %1$I::text as value from (select %1$I from %2$s limit 10000) s limit 50', c.name, t.relation)
           as sample
       from outbox.topics t
       cross join lateral jsonb_object_keys(t.words) as c (name)
       join pg_attribute a on a.attrelid = to_regclass(t.relation) and a.attname = c.name
       where (select p.problem from outbox.topic_problem(t) p) is null
       order by 1, 3`
    )
    if (Option.isNone(worded)) return needsDatabase
    const judged = yield* Effect.forEach(worded.value, (column) =>
      Effect.map(rowsOf(Value, column.sample), (rows): ReadonlyArray<Wrong> => {
        const values = Option.getOrElse(rows, () => []).flatMap(({ value }) => value ?? [])
        return judgeWords(column, [...new Set(values)])
      })
    )
    const ignored = worded.value.flatMap(({ labels, words }) =>
      (labels ?? []).filter((label) => !Object.values(words).flat().includes(label))
    )
    const seen = worded.value.map(({ column, relation }) => `${relation}.${column}`).join(", ")
    return verdictOf(judged.flat(), ignored.length === 0 ? seen : `${seen}; ignored: ${ignored.join(", ")}`)
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

const Unheard = Schema.Struct({ mentors: Schema.Int, examples: Schema.NullOr(Schema.Array(Schema.String)) })

/** Whether there are mentors whose changes notify nobody. */
export const judgeUnheard = ({ examples, mentors }: typeof Unheard.Type): Verdict =>
  mentors === 0
    ? ok("every mentor has a coordinator")
    : wrong(
        `${mentors > 1000 ? "More than 1,000 mentors have" : mentors === 1 ? "1 mentor has" : `${mentors} mentors have`} ` +
          `no existing coordinator: ${(examples ?? []).join(", ")}${mentors > 3 ? ", …" : ""}`,
        "Add rows to public.mentor_coordinators, or nobody is notified of these mentors."
      )

const coordinators: Check = {
  name: "coordinators",
  check: Effect.gen(function* () {
    const queries = yield* rowsOf(
      Schema.Struct({ query: Schema.String }),
      `select format($query$
         select count(*)::int as mentors, (array_agg(m.key order by m.key))[1:3] as examples
         from (
           select n.%1$I::text as key from %2$s n
           where not exists (
             select from public.mentor_coordinators mc join public.coordinators c on c.id = mc.coordinator_id
             where mc.mentor_id = outbox.mentor_id(n.%1$I::text)
           ) limit 1001
         ) m $query$, t.key_column, t.relation) as query
       from outbox.topics t
       where t.topic = 'pause-status' and (select p.problem from outbox.topic_problem(t) p) is null`
    )
    if (Option.isNone(queries)) return needsDatabase
    const [first] = queries.value
    if (first === undefined) return ok(`there is no topic pause-status (${count(0, "mentor")})`)
    const [unheard] = Option.getOrElse(yield* rowsOf(Unheard, first.query), () => [])
    return unheard === undefined ? needsDatabase : judgeUnheard(unheard)
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

export const checks: ReadonlyArray<Check> = [triggers, declarations, words, coordinators]
