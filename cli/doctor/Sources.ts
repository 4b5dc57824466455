import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

/** A statement that the database refused, or a connection that is gone. **Shape** `code` is the SQLSTATE, if any. */
export class QueryFailed extends Data.TaggedError("QueryFailed")<{
  readonly code: string | undefined
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/** Nobody answered a request. */
export class Unreachable extends Data.TaggedError("Unreachable")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/** The project's database. **Shape** `read` runs one query in a read-only transaction; only the canary writes. */
export interface Database {
  readonly read: (query: string) => Effect.Effect<ReadonlyArray<unknown>, QueryFailed>
  readonly write: (statement: string, values: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<unknown>, QueryFailed>
}

/** The project as it is reached from outside. **Shape** `key` is a secret key of the project. */
export interface Project {
  readonly url: string
  readonly key: string | undefined
}

/** An answer. **Shape** `body` is the JSON of it, or undefined if it is none. */
export interface Reply {
  readonly status: number
  readonly body: unknown
}

export interface Ask {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** A migration that this version of the package ships. */
export interface Migration {
  readonly name: string
  readonly text: string
}

/** What the doctor has to work with: it checks what these let it see, and says what it could not check. */
export class Sources extends Context.Service<
  Sources,
  {
    readonly database: Option.Option<Database>
    readonly project: Option.Option<Project>
    readonly ask: (request: Ask) => Effect.Effect<Reply, Unreachable>
    readonly migrations: ReadonlyArray<Migration>
  }
>()("pause-status-webhook-handler/cli/doctor/Sources") {}
