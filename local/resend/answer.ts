/** An answer of the API. */
export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
}

/** Resend's answer when it refuses a request. */
export const problem = (status: number, name: string, message: string): Answer => ({
  status,
  body: { statusCode: status, message, name }
})

/** The problems that Resend documents at https://resend.com/docs/api-reference/errors, as far as they happen here. */
export const problems = {
  missingKey: problem(401, "missing_api_key", "Missing API Key"),
  invalidKey: problem(403, "invalid_api_key", "API key is invalid"),
  notFound: problem(404, "not_found", "The requested endpoint does not exist"),
  unknownMail: problem(404, "not_found", "Email not found"),
  methodNotAllowed: problem(405, "method_not_allowed", "Method is not allowed for the requested path"),
  invalidIdempotencyKey: problem(400, "invalid_idempotency_key", "The key must be between 1-256 chars"),
  otherPayload: problem(
    409,
    "invalid_idempotent_request",
    "Same idempotency key used with a different request payload"
  ),
  underWay: problem(
    409,
    "concurrent_idempotent_requests",
    "Same idempotency key used while original request is still in progress"
  ),
  rateLimit: problem(429, "rate_limit_exceeded", "Too many requests. Please limit the number of requests per second"),
  dailyQuota: problem(429, "daily_quota_exceeded", "You have reached your daily email sending quota"),
  unexpected: problem(500, "application_error", "An unexpected error occurred")
}
