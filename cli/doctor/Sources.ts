import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Database } from "../Database.ts"
import type { ReleaseFile } from "../Release.ts"

/** Nobody answered a request. */
export class Unreachable extends Data.TaggedError("Unreachable")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/** The project, as reached from outside. `key` is one of its secret keys. */
export interface Project {
  readonly url: string
  readonly key: string
}

/** An answer. `body` is its JSON, or undefined if it has none. */
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

/** The doctor's sources. It checks what they show, and says what it could not check. */
export class Sources extends Context.Service<
  Sources,
  {
    readonly database: Option.Option<Database["Service"]>
    readonly project: Option.Option<Project>
    readonly ask: (request: Ask) => Effect.Effect<Reply, Unreachable>
    readonly migrations: ReadonlyArray<ReleaseFile>
  }
>()("pause-status-webhook-handler/cli/doctor/Sources") {}
