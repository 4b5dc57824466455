/** The value below which the share `p` of the values lies. NaN if there are none. */
export const percentile = (values: ReadonlyArray<number>, p: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * p) - 1))] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[middle - 1 + (sorted.length % 2)], sorted[middle]]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}

/** So many points of the sorted values, to plot their distribution. */
export const thinned = (values: ReadonlyArray<number>, points: number): ReadonlyArray<number> =>
  Array.from({ length: Math.min(points, values.length) }, (_, index, all = Math.min(points, values.length)) =>
    percentile(values, (index + 1) / all)
  )

const digitsFor = (value: number): number => (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2)

export const figure = (value: number): string =>
  value.toLocaleString("en", { minimumFractionDigits: digitsFor(value), maximumFractionDigits: digitsFor(value) })

export const ratio = (value: number, to: number): string => `${figure(value / to)} ×`

/** Cuts meaningless digits, so that a diff of the results is readable. */
export const rounded = (value: number): number => Number(value.toPrecision(4))
