import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { type EventChange, Redrive, Resolve } from "../schema/EventRequests.ts"
import { InvalidPayload, toIssues } from "./Payload.ts"

const strict = { errors: "all", onExcessProperty: "error" } as const
const decodeRedrive = Schema.decodeUnknownEffect(Redrive, strict)
const decodeResolve = Schema.decodeUnknownEffect(Resolve, strict)
const decodeStatus = Schema.decodeUnknownEffect(Schema.Struct({ status: Schema.Literals(["pending", "resolved"]) }))

// A union would only say that no member fits; the member that `status` names says what is wrong, and where.
const decodeByStatus = (input: unknown): Effect.Effect<EventChange, Schema.SchemaError> => {
  const status = Predicate.hasProperty(input, "status") ? input.status : undefined
  if (status === "pending") return decodeRedrive(input)
  return status === "resolved" ? decodeResolve(input) : Effect.andThen(decodeStatus(input), decodeRedrive(input))
}

/**
 * Checks that a JSON value is a change of ours, listing everything that is wrong; an unknown key is wrong, since
 * a mistyped `dryRun` would be a change.
 *
 * **Fails with** InvalidPayload.
 */
export const validateChange = (input: unknown): Effect.Effect<EventChange, InvalidPayload> =>
  Effect.mapError(decodeByStatus(input), (error) => new InvalidPayload({ issues: toIssues(error) }))
