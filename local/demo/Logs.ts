import type { Log, StackLog } from "../log.ts"

/** Passes every log line of the stack to the current listeners. */
export class Logs {
  readonly #listeners = new Set<Log>()

  readonly log = (line: StackLog): void => {
    for (const listener of this.#listeners) listener(line)
  }

  /** Returns a function that stops listening. */
  listen(listener: Log): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}
