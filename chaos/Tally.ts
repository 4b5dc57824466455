/** Counts by name. */
export class Tally<Name extends string = string> {
  readonly #counts = new Map<Name, number>()

  add(name: Name, by = 1): void {
    this.#counts.set(name, this.of(name) + by)
  }

  of(name: Name): number {
    return this.#counts.get(name) ?? 0
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  toJSON(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].toSorted(([one], [other]) => one.localeCompare(other)))
  }
}
