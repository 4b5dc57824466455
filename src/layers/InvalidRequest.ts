import * as Data from "effect/Data"
import type { Issue } from "../schema/Replies.ts"

/** The id in the path is none. */
export class InvalidId extends Data.TaggedError("InvalidId")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "An event id is a uuid"
}
