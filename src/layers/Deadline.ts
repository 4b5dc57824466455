import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

interface Wait {
  readonly endsAt: number
  readonly expire: () => void
}

/**
 * One timer for all waits of a clock. It is set for the first deadline, and stays when that wait is over in time: waits
 * that begin before it rings set none of their own, unless they must end before it does.
 */
const makeAlarm = (clock: Clock.Clock) => {
  const waits = new Set<Wait>()
  let ringsAt = Number.POSITIVE_INFINITY
  let timer: Fiber.Fiber<void> | undefined

  // Not the time of day, which may be set back.
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

  const set = (context: Context.Context<never>, at: number): void => {
    timer?.interruptUnsafe()
    ringsAt = at
    timer = Effect.runForkWith(context)(clock.sleep(Duration.millis(Math.max(1, Math.ceil(at - now())))))
    timer.addObserver((exit) => {
      if (Exit.isSuccess(exit)) ring(context)
    })
  }

  const ring = (context: Context.Context<never>): void => {
    const time = now()
    const late = [...waits].filter(({ endsAt }) => endsAt <= time)
    for (const wait of late) waits.delete(wait)
    timer = undefined
    ringsAt = Number.POSITIVE_INFINITY
    const next = [...waits].reduce((first, { endsAt }) => Math.min(first, endsAt), ringsAt)
    if (next < ringsAt) set(context, next)
    for (const { expire } of late) expire()
  }

  return {
    start: (context: Context.Context<never>, millis: number, expire: () => void): Wait => {
      const wait = { endsAt: now() + millis, expire }
      waits.add(wait)
      if (wait.endsAt < ringsAt) set(context, wait.endsAt)
      return wait
    },
    stop: (wait: Wait): void => void waits.delete(wait)
  }
}

const alarms = new WeakMap<Clock.Clock, ReturnType<typeof makeAlarm>>()

const alarmOf = (clock: Clock.Clock) => {
  const alarm = alarms.get(clock) ?? makeAlarm(clock)
  alarms.set(clock, alarm)
  return alarm
}

/**
 * Waits for a promise until a deadline, which aborts it, also where nothing may interrupt it. Effect.timeout would do
 * the same with a race of two fibers and a timer of its own; a delivery waits four times, and those made a fifth of its
 * time.
 *
 * **Units** `millis` milliseconds.
 */
export const promiseWithin = <A, E>(options: {
  readonly millis: number
  readonly promise: (signal: AbortSignal) => PromiseLike<A>
  readonly onRejection: () => E
  readonly onTimeout: () => E
}): Effect.Effect<A, E> =>
  Effect.contextWith((context) =>
    Effect.callback<A, E>((resume) => {
      const aborter = new AbortController()
      const alarm = alarmOf(Context.get(context, Clock.Clock))
      const wait = alarm.start(context, options.millis, () => {
        resume(Effect.suspend(() => Effect.fail(options.onTimeout())))
        aborter.abort()
      })
      const settle = (result: Effect.Effect<A, E>) => {
        alarm.stop(wait)
        resume(result)
      }
      new Promise<A>((started) => started(options.promise(aborter.signal))).then(
        (value) => settle(Effect.succeed(value)),
        () => settle(Effect.suspend(() => Effect.fail(options.onRejection())))
      )
      return Effect.sync(() => {
        alarm.stop(wait)
        aborter.abort()
      })
    })
  )
