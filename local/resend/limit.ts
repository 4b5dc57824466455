/** How many requests may still be made in this second. */
export interface Allowance {
  readonly granted: boolean
  readonly headers: Readonly<Record<string, string>>
}

const WINDOW_SECONDS = 1

/** Counts requests per second, as Resend does for an account; 0 grants every request. */
export const limiter = (perSecond: number, now: () => number): (() => Allowance) => {
  let window = { endsAt: 0, used: 0 }
  return () => {
    if (perSecond === 0) return { granted: true, headers: {} }
    const time = now()
    if (time >= window.endsAt) window = { endsAt: time + WINDOW_SECONDS * 1_000, used: 0 }
    const granted = window.used < perSecond
    if (granted) window.used++
    const seconds = `${Math.ceil((window.endsAt - time) / 1_000)}`
    return {
      granted,
      headers: {
        "ratelimit-limit": `${perSecond}`,
        "ratelimit-remaining": `${perSecond - window.used}`,
        "ratelimit-reset": seconds,
        ...(!granted && { "retry-after": seconds })
      }
    }
  }
}
