import { BenchError } from "../harness/question.ts"

/** When each mentor's coordinators were notified, by the clock of this process. */
export class Told {
  #left = new Set<string>()
  #moments = new Map<string, number>()
  #surplus = 0
  #finish = (): void => {}
  #finished: Promise<void> = Promise.resolve()

  expect(mentorIds: ReadonlyArray<string>): void {
    this.#left = new Set(mentorIds)
    this.#moments = new Map()
    this.#surplus = 0
    this.#finished = new Promise((resolve) => (this.#finish = resolve))
  }

  tell(mentorId: string): void {
    if (!this.#left.delete(mentorId)) {
      this.#surplus++
      return
    }
    this.#moments.set(mentorId, performance.now())
    if (this.#left.size === 0) this.#finish()
  }

  /** When each expected mentor was notified, in order. Fails if one is missing after so long. */
  async everyone(seconds: number): Promise<ReadonlyMap<string, number>> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new BenchError(`${this.#left.size} mentors were not notified within ${seconds} s`)),
        seconds * 1_000
      )
    })
    try {
      await Promise.race([this.#finished, late])
    } finally {
      clearTimeout(timer)
    }
    return this.#moments
  }

  /** How many notifications were unexpected, or repeated. */
  get surplus(): number {
    return this.#surplus
  }
}
