/** A wait that an answer asks for. */
export interface RetryAfter {
  readonly retryAfterSeconds?: number
}

/** What a Retry-After header says, in seconds or as a date. **Units** milliseconds for the time of day; seconds. */
export const retryAfter = (header: string | null, nowMillis: number): RetryAfter => {
  if (header === null) return {}
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - nowMillis) / 1000)
  return Number.isNaN(seconds) ? {} : { retryAfterSeconds: Math.max(0, seconds) }
}
