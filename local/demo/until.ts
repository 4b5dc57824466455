import { setTimeout as wait } from "node:timers/promises"

const POLL_MILLISECONDS = 20
const PATIENCE_MILLISECONDS = 120_000

/** Polls until the awaited state is seen. Otherwise fails, and names what was missing. */
export const until = async <A>(
  what: string,
  signal: AbortSignal,
  look: () => Promise<A>,
  isDone: (seen: A) => boolean,
  describe: (seen: A) => string
): Promise<A> => {
  const deadline = performance.now() + PATIENCE_MILLISECONDS
  for (;;) {
    signal.throwIfAborted()
    const seen = await look()
    if (isDone(seen)) return seen
    if (performance.now() > deadline) {
      throw new Error(`waited ${PATIENCE_MILLISECONDS / 1000} s for ${what}, last seen: ${describe(seen)}`)
    }
    await wait(POLL_MILLISECONDS)
  }
}
