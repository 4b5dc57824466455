import * as Schema from "effect/Schema"
import { Issue } from "../schema/Replies.ts"

/** The query string is not what this endpoint takes. */
export class InvalidQuery extends Schema.TaggedError<InvalidQuery>()("InvalidQuery", { issues: Schema.Array(Issue) }) {
  override readonly message = "The query is not what this endpoint takes; issues says where"
}

/** The id in the path is none. */
export class InvalidId extends Schema.TaggedError<InvalidId>()("InvalidId", { issues: Schema.Array(Issue) }) {
  override readonly message = "An event id is a uuid"
}
