import * as Data from "effect/Data"
import type { Issue } from "../schema/Replies.ts"

/** The query string is not what this endpoint takes. */
export class InvalidQuery extends Data.TaggedError("InvalidQuery")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "The query is not what this endpoint takes; issues says where"
}

/** The id in the path is none. */
export class InvalidId extends Data.TaggedError("InvalidId")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "An event id is a uuid"
}
