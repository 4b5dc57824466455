import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Waits for a promise until a deadline, which aborts it, also where nothing may interrupt it. Effect.timeout would do
 * the same with a race of two fibers; a delivery waits three times, and those made a sixth of its time.
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
      const timer = Effect.runForkWith(context)(Effect.sleep(options.millis))
      timer.addObserver((exit) => {
        if (Exit.isFailure(exit)) return
        resume(Effect.suspend(() => Effect.fail(options.onTimeout())))
        aborter.abort()
      })
      const settle = (result: Effect.Effect<A, E>) => {
        timer.interruptUnsafe()
        resume(result)
      }
      new Promise<A>((started) => started(options.promise(aborter.signal))).then(
        (value) => settle(Effect.succeed(value)),
        () => settle(Effect.suspend(() => Effect.fail(options.onRejection())))
      )
      return Effect.sync(() => {
        timer.interruptUnsafe()
        aborter.abort()
      })
    })
  )
