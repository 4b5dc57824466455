/** Wakes a waiting worker. Others set it; its one owner waits for it and resets it. */
export class Latch {
  #isSet = false
  #release: (() => void) | undefined

  set(): void {
    this.#isSet = true
    this.#release?.()
  }

  /** Waits until the latch is set or the time is up, then resets it. */
  async wait(milliseconds?: number): Promise<void> {
    if (!this.#isSet) {
      await new Promise<void>((resolve) => {
        const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
        this.#release = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#release = undefined
    this.#isSet = false
  }
}
