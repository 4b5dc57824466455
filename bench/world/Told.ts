import { BenchError } from "../harness/question.ts"

/** When which mentor's coordinators were told, by the clock of this process. */
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

  /** When each that was expected was told, the first one first. Fails when one is missing after so long. */
  async everyone(seconds: number): Promise<ReadonlyMap<string, number>> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new BenchError(`${this.#left.size} mentors were not told about within ${seconds} s`)),
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

  /** Mentors told about who were not expected, or not again. */
  get surplus(): number {
    return this.#surplus
  }
}
