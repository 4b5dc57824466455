import { readdir, readFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Client, DatabaseError } from "pg"
import { Fetch } from "../../src/layers/Fetch.ts"
import { type Ask, type Database, type Project, QueryFailed, Sources, Unreachable } from "./Sources.ts"

/** Where the project is. **Shape** at least one of `databaseUrl` and `project`; `migrations` is a folder. */
export interface Options {
  readonly databaseUrl: Option.Option<string>
  readonly project: Option.Option<Project>
  readonly migrations: URL
}

const messageOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // Neither fetch nor a connection that several addresses refuse says why in its own message.
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause.cause
  return inner instanceof Error && inner.message !== "" ? inner.message : cause.message
}

const queryFailed = (cause: unknown) =>
  new QueryFailed({ code: cause instanceof DatabaseError ? cause.code : undefined, detail: messageOf(cause) })

const connectMillis = 10_000

const openDatabase = Effect.fnUntraced(function* (url: string) {
  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        new Client({
          connectionString: url,
          application_name: "pause-status doctor",
          connectionTimeoutMillis: connectMillis
        }),
      catch: queryFailed
    }),
    (client) => Effect.ignore(Effect.tryPromise(() => client.end()))
  )
  // A lost connection shows in the next query.
  client.on("error", () => {})
  yield* Effect.tryPromise({ try: () => client.connect(), catch: queryFailed })
  const query = (text: string, values?: ReadonlyArray<unknown>) =>
    Effect.tryPromise({ try: () => client.query(text, values && [...values]), catch: queryFailed })
  const rollback = Effect.ignore(query("rollback"))
  // In one message: a pooler may give each its own session.
  const read = (text: string) =>
    query(`begin read only; set local statement_timeout = '20s'; ${text}; commit`).pipe(
      Effect.tapError(() => rollback),
      Effect.map((results) => [results].flat()[2]?.rows ?? [])
    )
  const write = (text: string, values: ReadonlyArray<unknown>) => Effect.map(query(text, values), ({ rows }) => rows)
  return { read, write } satisfies Database
})

const parsed = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const askWithin = "10 seconds"

const ask = (fetch: typeof globalThis.fetch) => ({ url, ...init }: Ask) =>
  Effect.tryPromise({
    try: (signal) =>
      fetch(url, { ...init, signal, redirect: "manual" }).then((response) =>
        response.text().then((text) => ({ status: response.status, text }))
      ),
    catch: (cause) => new Unreachable({ detail: messageOf(cause) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: askWithin,
      orElse: () => Effect.fail(new Unreachable({ detail: `no answer within ${askWithin}` }))
    }),
    Effect.map(({ status, text }) => ({ status, body: Option.getOrUndefined(parsed(text)) }))
  )

const readMigrations = (folder: URL) =>
  Effect.promise(() => readdir(folder)).pipe(
    Effect.map((names) => names.filter((name) => name.endsWith(".sql")).toSorted()),
    Effect.flatMap(
      Effect.forEach((name) =>
        Effect.map(Effect.promise(() => readFile(new URL(name, folder), "utf8")), (text) => ({ name, text }))
      )
    )
  )

/**
 * The project itself.
 *
 * **Fails with** QueryFailed when there is no connection to the database.
 */
export const layer = ({ databaseUrl, migrations, project }: Options) =>
  Layer.effect(
    Sources,
    Effect.gen(function* () {
      return {
        database: yield* Effect.transposeOption(Option.map(databaseUrl, openDatabase)),
        project,
        ask: ask(yield* Fetch),
        migrations: yield* readMigrations(migrations)
      }
    })
  )
