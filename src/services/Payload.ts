import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { AnyPayload } from "../schema/Envelope.ts"
import type { Issue } from "../schema/Replies.ts"

/** The body is not JSON in UTF-8. */
export class MalformedBody extends Data.TaggedError("MalformedBody") {
  override readonly message = "The body is not JSON in UTF-8"
}

/** The body is JSON, but has the wrong shape. **Shape** every issue with its path; no value is repeated. */
export class InvalidPayload extends Data.TaggedError("InvalidPayload")<{
  readonly issues: ReadonlyArray<Issue>
}> {
  override readonly message = "The payload does not have the shape that this endpoint expects; see issues"
}

/** The table whose stock webhooks, which name no topic, a topic takes. */
export interface StockTable {
  readonly schema: string
  readonly table: string
}

const text = new TextDecoder("utf-8", { fatal: true })
const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** Everything that a schema found wrong, without the values. */
export const toIssues = (error: Schema.SchemaError): ReadonlyArray<Issue> =>
  formatIssues(error.issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((segment) => {
      const key = typeof segment === "object" ? segment.key : segment
      return typeof key === "number" ? key : String(key)
    }),
    message
  }))

/**
 * Reads the bytes of a body as JSON.
 *
 * **Fails with** MalformedBody.
 */
export const parseBody = (body: Uint8Array): Effect.Effect<unknown, MalformedBody> =>
  Effect.try({ try: (): unknown => JSON.parse(text.decode(body)), catch: () => new MalformedBody() })

const mismatch = (
  input: Readonly<Record<PropertyKey, unknown>>,
  key: "topic" | "schema" | "table",
  expected: string
): ReadonlyArray<Issue> => {
  const value = input[key]
  if (value === undefined) return [{ path: [key], message: "Missing key" }]
  // Of what is no text, the schema says so.
  return typeof value === "string" && value !== expected ? [{ path: [key], message: `Expected "${expected}"` }] : []
}

const issuesOf = (schema: Schema.Decoder<unknown>) => {
  const decodeAll = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return (input: unknown): Effect.Effect<ReadonlyArray<Issue>> =>
    Effect.match(decodeAll(input), { onFailure: toIssues, onSuccess: () => [] })
}

const issuesOfAny = issuesOf(AnyPayload)

const hasKnownType = (input: unknown): boolean =>
  Predicate.hasProperty(input, "type") && (input.type === "INSERT" || input.type === "UPDATE")

/**
 * Makes the function that checks a JSON value against a topic's Schema, listing everything that is wrong. A payload
 * that names a topic must name this one; one that names none must be of the stock table.
 *
 * The function **fails with** InvalidPayload.
 */
export const decoder = <P extends AnyPayload>(
  topic: string,
  schema: Schema.Decoder<P>,
  stock: StockTable | undefined
): ((input: unknown) => Effect.Effect<P, InvalidPayload>) => {
  const decode = Schema.decodeUnknownEffect(schema)
  const issuesOfTopic = issuesOf(schema)

  const originIssues = (input: unknown): ReadonlyArray<Issue> => {
    if (!Predicate.isObject(input)) return []
    return stock === undefined || input["topic"] !== undefined
      ? mismatch(input, "topic", topic)
      : [...mismatch(input, "table", stock.table), ...mismatch(input, "schema", stock.schema)]
  }

  // To look for all that is wrong takes several times as long as to find that nothing is. Of a type that is neither,
  // a union would only say that no member fits.
  const explain = (input: unknown): Effect.Effect<never, InvalidPayload> =>
    Effect.flatMap(hasKnownType(input) ? issuesOfTopic(input) : issuesOfAny(input), (issues) =>
      Effect.fail(new InvalidPayload({ issues: [...issues, ...originIssues(input)] }))
    )

  return (input) =>
    Effect.flatMapEager(
      Effect.catchEager(decode(input), () => explain(input)),
      (payload) => {
        const issues = originIssues(payload)
        return issues.length === 0 ? Effect.succeed(payload) : Effect.fail(new InvalidPayload({ issues }))
      }
    )
}
