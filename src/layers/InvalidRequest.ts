import * as Data from "effect/Data"
import type { Issue } from "../schema/Replies.ts"

/** The id in the path is not an event id. */
export class InvalidId extends Data.TaggedError("InvalidId")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "The event id must be a uuid"
}
