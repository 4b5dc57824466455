import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Issue } from "../schema/Replies.ts"
import { InsertPayload, PayloadOfAnyType, UpdatePayload, type WebhookPayload } from "../schema/WebhookPayload.ts"

/** The body is not JSON in UTF-8. */
export class MalformedBody extends Data.TaggedError("MalformedBody") {
  override readonly message = "The body is not JSON in UTF-8"
}

/** The body is JSON of another shape. **Shape** every issue with its path; no value is repeated. */
export class InvalidPayload extends Data.TaggedError("InvalidPayload")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "The payload has another shape than this endpoint takes; issues says where"
}

const text = new TextDecoder("utf-8", { fatal: true })

// To look for all that is wrong takes several times as long as to find that nothing is.
const decoder = <A>(schema: Schema.Decoder<A>) => {
  const decode = Schema.decodeUnknownEffect(schema)
  const decodeAll = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return (input: unknown) => Effect.catchEager(decode(input), () => decodeAll(input))
}
const decodeInsert = decoder(InsertPayload)
const decodeUpdate = decoder(UpdatePayload)
const decodeOther = decoder(PayloadOfAnyType)
const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** All that a schema found wrong, without the values. */
export const toIssues = (error: Schema.SchemaError): ReadonlyArray<Issue> =>
  formatIssues(error.issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((segment) => {
      const key = typeof segment === "object" ? segment.key : segment
      return typeof key === "number" ? key : String(key)
    }),
    message
  }))

// A union would only say that no member fits; the member that `type` names says what is wrong, and where.
const decodeByType = (input: unknown): Effect.Effect<WebhookPayload, Schema.SchemaError> => {
  const type = Predicate.hasProperty(input, "type") ? input.type : undefined
  if (type === "UPDATE") return decodeUpdate(input)
  if (type === "INSERT") return decodeInsert(input)
  return Effect.andThen(decodeOther(input), decodeInsert(input))
}

/**
 * Reads the bytes of a body as JSON.
 *
 * **Fails with** MalformedBody.
 */
export const parseBody = (body: Uint8Array): Effect.Effect<unknown, MalformedBody> =>
  Effect.try({ try: (): unknown => JSON.parse(text.decode(body)), catch: () => new MalformedBody() })

/**
 * Checks that a JSON value is a webhook of ours, with all that is wrong listed at once. DELETE, another table and
 * another schema are wrong.
 *
 * **Fails with** InvalidPayload.
 */
export const validatePayload = (input: unknown): Effect.Effect<WebhookPayload, InvalidPayload> =>
  Effect.mapErrorEager(decodeByType(input), (error) => new InvalidPayload({ issues: toIssues(error) }))
