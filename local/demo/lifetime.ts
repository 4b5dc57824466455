/** Keeps the program running until it is asked to end. */
export interface Lifetime {
  readonly signal: AbortSignal
  readonly ended: Promise<void>
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const
const KILLED_BY_HAND = 130
// npm passes the terminal's Ctrl-C on to a program that already got it. That is not a second one.
const SAME_REQUEST_MILLISECONDS = 500
const LOOK_FOR_PARENT_MILLISECONDS = 250

/** Ends at a signal, or when nobody reads the output any more. A second signal ends the process at once. */
export const startLifetime = (): Lifetime => {
  const ending = new AbortController()
  const ended = new Promise<void>((resolve) => ending.signal.addEventListener("abort", () => resolve()))
  let asked: number | undefined
  for (const name of SIGNALS) {
    process.on(name, () => {
      const now = performance.now()
      asked ??= now
      // The stack's reaper takes down what is left.
      if (now - asked > SAME_REQUEST_MILLISECONDS) process.exit(KILLED_BY_HAND)
      ending.abort()
    })
  }
  // A signal to npm ends npm's shell, which does not pass it on. All we can see is that the shell is gone.
  if (process.env["npm_lifecycle_event"] === "start") {
    const parent = process.ppid
    setInterval(() => {
      if (process.ppid !== parent) ending.abort()
    }, LOOK_FOR_PARENT_MILLISECONDS).unref()
  }
  process.stdout.on("error", () => ending.abort())
  process.stderr.on("error", () => ending.abort())
  return { signal: ending.signal, ended }
}
