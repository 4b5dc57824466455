/** Why the stack cannot start or continue. The message says what is missing and what to do. */
export class StackError extends Error {
  override readonly name = "StackError"
}

/** The message of any thrown value, without the stack trace. */
export const messageOf = (cause: unknown): string =>
  cause instanceof AggregateError && cause.message === ""
    ? cause.errors.map(messageOf).join("; ")
    : cause instanceof Error
      ? cause.message
      : String(cause)

/** The error code of the system or of Postgres (`ECONNREFUSED`, `42P01`, …), if there is one. */
export const codeOf = (cause: unknown): string | undefined =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined
