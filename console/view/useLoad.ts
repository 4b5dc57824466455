import { type Signal, useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { Refused } from "../model/api.ts"

export interface Loaded<A> {
  readonly data: Signal<A | undefined>
  readonly problem: Signal<Refused | undefined>
}

/** Loads at the start and whenever a key changes. The last result stays until the next one is there. */
export const useLoad = <A>(load: () => Promise<A>, keys: ReadonlyArray<unknown>): Loaded<A> => {
  const data = useSignal<A | undefined>(undefined)
  const problem = useSignal<Refused | undefined>(undefined)
  useEffect(() => {
    let isCurrent = true
    load().then(
      (found) => {
        if (!isCurrent) return
        data.value = found
        problem.value = undefined
      },
      (cause: unknown) => {
        if (isCurrent) problem.value = cause instanceof Refused ? cause : new Refused(0, "defect", String(cause))
      }
    )
    return () => {
      isCurrent = false
    }
  }, [...keys])
  return { data, problem }
}
