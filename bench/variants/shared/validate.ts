import { type Issue, TIMESTAMP, UUID, type Validate, type Webhook } from "./webhook.ts"

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isWebhook = (_: Record<string, unknown>, issues: ReadonlyArray<Issue>): _ is Record<string, unknown> & Webhook =>
  issues.length === 0

const matches = (pattern: RegExp) => (value: unknown) => typeof value === "string" && pattern.test(value)
const isString = (value: unknown) => typeof value === "string"
const isVersion = (value: unknown) => Number.isInteger(value) && Number(value) > 0
const optional = (test: (value: unknown) => boolean) => (value: unknown) => value === undefined || test(value)

/** Checks a payload without a library, and lists everything that is wrong. */
export const validateByHand: Validate = (input) => {
  if (!isObject(input)) return { issues: [{ path: [], message: "Expected an object" }] }
  const issues: Array<Issue> = []
  const check = (valid: boolean, message: string, ...path: ReadonlyArray<string>) => {
    if (!valid) issues.push({ path, message })
  }
  const { old_record: old, record, type } = input
  check(type === "INSERT" || type === "UPDATE", "Expected INSERT or UPDATE", "type")
  check(input["table"] === "peer_mentor_profiles", "Expected peer_mentor_profiles", "table")
  check(input["schema"] === "public", "Expected public", "schema")
  check(optional(matches(UUID))(input["event_id"]), "Expected a uuid", "event_id")
  check(optional(matches(TIMESTAMP))(input["timestamp"]), "Expected a timestamp", "timestamp")
  check(optional(isVersion)(input["version"]), "Expected a whole number from 1", "version")
  if (isObject(record)) {
    check(matches(UUID)(record["id"]), "Expected a uuid", "record", "id")
    check(isString(record["status"]), "Expected text", "record", "status")
  } else check(false, "Expected an object", "record")
  if (type === "UPDATE") {
    if (isObject(old)) check(isString(old["status"]), "Expected text", "old_record", "status")
    else check(false, "Expected an object", "old_record")
  } else if (type === "INSERT") check(old === undefined || old === null, "Expected null", "old_record")
  return isWebhook(input, issues) ? { webhook: input } : { issues }
}
