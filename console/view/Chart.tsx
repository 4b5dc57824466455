import type { Minute } from "../model/figures.ts"
import { at, duration, plural } from "../model/words.ts"
import { now } from "../model/live.ts"

const WIDTH = 300
const HEIGHT = 48

/** One bar per minute. */
export const Bars = ({ minutes }: { readonly minutes: ReadonlyArray<Minute> }) => {
  const most = Math.max(1, ...minutes.map(({ count }) => count))
  const step = WIDTH / minutes.length
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Events per minute, at most ${most}`}
    >
      {minutes.map(({ at: began, count }, place) => {
        const height = count === 0 ? 1.5 : Math.max(3, (count / most) * HEIGHT)
        return (
          <rect
            key={began}
            class={count === 0 ? "none" : ""}
            x={place * step + 1.5}
            width={step - 3}
            y={HEIGHT - height}
            height={height}
          >
            <title>{`${at(new Date(began).toISOString(), now.value)}: ${plural(count, "event")}`}</title>
          </rect>
        )
      })}
    </svg>
  )
}

/** p50 and p99 of each minute, on one logarithmic scale. Minutes without events are left out. */
export const Lines = ({ minutes }: { readonly minutes: ReadonlyArray<Minute> }) => {
  const most = Math.max(1, ...minutes.map(({ p99 }) => p99))
  const path = (value: (minute: Minute) => number) =>
    minutes
      .flatMap((minute, place) => {
        if (minute.count === 0) return []
        const x = ((place + 0.5) * WIDTH) / minutes.length
        return `${x.toFixed(1)} ${(HEIGHT - 2 - (Math.log1p(value(minute)) / Math.log1p(most)) * (HEIGHT - 4)).toFixed(1)}`
      })
      // A single minute is a point, which only a round cap makes visible.
      .map((point, place, points) => (place === 0 ? `M${point}${points.length === 1 ? "h0" : ""}` : `L${point}`))
      .join("")
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`p50 and p99 per minute, at most ${duration(most)}`}
    >
      <path class="p99" d={path(({ p99 }) => p99)} />
      <path class="p50" d={path(({ p50 }) => p50)} />
    </svg>
  )
}
