import type { Log, StackLog } from "../log.ts"

/** Hands every line that the stack logs to all who listen at that moment. */
export class Logs {
  readonly #listeners = new Set<Log>()

  readonly log = (line: StackLog): void => {
    for (const listener of this.#listeners) listener(line)
  }

  /** Returns how to stop listening. */
  listen(listener: Log): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
