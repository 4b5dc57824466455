import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Client, DatabaseError } from "pg"
import { cannotRun, type Failure } from "./Failure.ts"

/** PostgreSQL's own error. `code` is its SQLSTATE, empty if the connection broke. */
export class QueryFailed extends Schema.TaggedError<QueryFailed>()("QueryFailed", {
  message: Schema.String,
  code: Schema.String,
  hint: Schema.optionalKey(Schema.String)
}) {}

const failed = (cause: unknown): QueryFailed =>
  cause instanceof DatabaseError
    ? new QueryFailed({
        message: cause.message,
        code: cause.code ?? "",
        ...(cause.hint === undefined ? {} : { hint: cause.hint })
      })
    : new QueryFailed({ message: cause instanceof Error ? cause.message : String(cause), code: "" })

const decoded = <A, I>(row: Schema.Codec<A, I>, rows: ReadonlyArray<unknown>) =>
  Schema.decodeUnknownEffect(Schema.Array(row))(rows).pipe(Effect.mapError(failed))

/** One session of the project's database, opened with `--database-url`. */
export class Database extends Context.Service<
  Database,
  {
    /** The rows of a query, each decoded with the schema. */
    readonly rows: <A, I>(
      row: Schema.Codec<A, I>,
      sql: string,
      values?: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<A>, QueryFailed>
    /** The same, for one read-only query with a time limit. */
    readonly read: <A, I>(row: Schema.Codec<A, I>, sql: string) => Effect.Effect<ReadonlyArray<A>, QueryFailed>
  }
>()("pause-status-webhook-handler/cli/Database") {
  static readonly layer = (url: Redacted.Redacted<string>): Layer.Layer<Database, Failure> =>
    Layer.effect(
      Database,
      Effect.gen(function* () {
        const client = yield* Effect.acquireRelease(
          Effect.gen(function* () {
            const client = yield* Effect.try({
              try: () => new Client({ connectionString: Redacted.value(url), application_name: "pause-status" }),
              catch: failed
            })
            // Without a listener, a connection that breaks between two queries ends the process.
            client.on("error", () => {})
            yield* Effect.tryPromise({ try: () => client.connect(), catch: failed })
            return client
          }).pipe(
            Effect.mapError(({ message }) =>
              cannotRun(
                `The database does not answer: ${message}.`,
                "Check --database-url. In the dashboard, it is under Connect, Session pooler."
              )
            )
          ),
          (client) => Effect.ignore(Effect.tryPromise({ try: () => client.end(), catch: failed }))
        )
        const query = (sql: string, values: ReadonlyArray<unknown> = []) =>
          Effect.tryPromise({ try: () => client.query<object>(sql, [...values]), catch: failed })
        return Database.of({
          rows: (row, sql, values) => Effect.flatMap(query(sql, values), ({ rows }) => decoded(row, rows)),
          // One message, because a pooler may use another session for each message.
          read: (row, sql) =>
            query(`begin read only; set local statement_timeout = '20s'; ${sql}; commit`).pipe(
              Effect.tapError(() => Effect.ignore(query("rollback"))),
              Effect.flatMap((results) => decoded(row, [results].flat()[2]?.rows ?? []))
            )
        })
      })
    )
}
