/** Random numbers from a seed. */
export interface Random {
  /** From 0 up to 1, without 1. */
  readonly next: () => number
  /** A whole number, both ends included. */
  readonly int: (from: number, to: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(items: ReadonlyArray<A>) => A
  /** A name, with a probability in proportion to its weight. */
  readonly weighted: <Name extends string>(weights: Readonly<Record<Name, number>>) => Name
  readonly shuffled: <A>(items: ReadonlyArray<A>) => ReadonlyArray<A>
  /** Draws one item at a time. Each comes once, in any order, before any comes again. */
  readonly drawing: <A>(items: ReadonlyArray<A>) => () => A
  /** Different items, in any order. */
  readonly sample: <A>(items: ReadonlyArray<A>, count: number) => ReadonlyArray<A>
  readonly bytes: (count: number) => Buffer
  readonly uuid: () => string
  /** Another stream. It does not depend on how much of this one was used. */
  readonly fork: (label: string) => Random
}

const hash = (text: string, start: number): number => {
  let value = start
  for (const character of text) {
    value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01_00_01_93)
    value = (value << 13) | (value >>> 19)
  }
  return value >>> 0
}

const WARM_UP = 16

/** The generator sfc32: small, fast and good enough to decide what goes wrong. */
const generator = (seed: string): (() => number) => {
  let [a, b, c, count] = [hash(seed, 0x9e_37_79_b9), hash(seed, 0x24_3f_6a_88), hash(seed, 0xb7_e1_51_62), 1]
  const next = (): number => {
    const sum = (a + b + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let round = 0; round < WARM_UP; round++) next()
  return next
}

export const makeRandom = (seed: string): Random => {
  const next = generator(seed)
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  const pick = <A>(items: ReadonlyArray<A>): A => {
    const item = items[int(0, items.length - 1)]
    if (item === undefined) throw new RangeError("nothing to pick from")
    return item
  }
  const shuffled = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> =>
    items
      .map((item) => ({ item, place: next() }))
      .toSorted((one, other) => one.place - other.place)
      .map(({ item }) => item)
  const bytes = (count: number): Buffer => Buffer.from(Array.from({ length: count }, () => int(0, 255)))
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick,
    weighted: (weights) => {
      const names = Object.keys(weights) as Array<keyof typeof weights>
      let left = next() * names.reduce((total, name) => total + weights[name], 0)
      return names.find((name) => (left -= weights[name]) < 0) ?? pick(names)
    },
    shuffled,
    drawing: <A>(items: ReadonlyArray<A>) => {
      const left: Array<A> = []
      return () => {
        if (left.length === 0) left.push(...shuffled(items))
        const drawn = left.pop()
        if (drawn === undefined) throw new RangeError("nothing to draw from")
        return drawn
      }
    },
    sample: (items, count) => {
      const chosen = new Set(Array.from({ length: count * 2 }, () => int(0, items.length - 1)))
      return [...chosen].slice(0, count).flatMap((index) => items.slice(index, index + 1))
    },
    bytes,
    uuid: () => {
      const hex = bytes(16).toString("hex")
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
    },
    fork: (label) => makeRandom(`${seed}/${label}`)
  }
}
