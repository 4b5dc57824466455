import { setTimeout as wait } from "node:timers/promises"
import type { Call, Forward, Treatment } from "./calls.ts"
import { forged } from "./forge.ts"
import type { Random } from "./random.ts"

const REMEMBERED = 50
const PATIENCE_MILLISECONDS = 1_000

const nobody = (): void => {}
const cut = (call: Call): Call => ({ ...call, body: call.body.subarray(0, Math.floor(call.body.length / 2)) })

/** What can happen to a request between pg_net and the handler. */
export const deliveryFaults = (random: Random, secret: () => string | undefined) => {
  const past: Array<Call> = []
  let overtaken = nobody
  let copies = 0

  const alsoForward = async (call: Call, forward: Forward, afterMilliseconds = 0): Promise<void> => {
    copies += 1
    await wait(afterMilliseconds)
    // It does not matter whether a copy arrives.
    await forward(call).catch(() => {})
    copies -= 1
  }

  const remember: Treatment = (call, forward) => {
    overtaken()
    past.push(call)
    if (past.length > REMEMBERED) past.shift()
    return forward(call)
  }

  const faults = {
    dropped: async () => undefined,
    delayed: async (call, forward) => {
      await wait(random.int(20, 1_500))
      return remember(call, forward)
    },
    reordered: async (call, forward) => {
      const next = new Promise<void>((resolve) => (overtaken = resolve))
      await Promise.race([next, wait(PATIENCE_MILLISECONDS)])
      return remember(call, forward)
    },
    "sent twice at once": async (call, forward) => {
      void alsoForward(call, forward)
      return remember(call, forward)
    },
    "sent again later": async (call, forward) => {
      void alsoForward(call, forward, random.int(100, 6_000))
      return remember(call, forward)
    },
    "replayed from the past": async (call, forward) => {
      if (past.length > 0) void alsoForward(random.pick(past), forward)
      return remember(call, forward)
    },
    "foreign event": async (call, forward) => {
      const known = secret()
      if (known !== undefined) void alsoForward(forged(call, known, random), forward)
      return remember(call, forward)
    },
    "cut short": async (call, forward) => forward(cut(call)),
    "reply lost": async (call, forward) => {
      await remember(call, forward)
      return undefined
    },
    "caller hung up": async (call, forward) => {
      await forward(call, AbortSignal.timeout(random.int(1, 60))).catch(() => {})
      return undefined
    }
  } satisfies Record<string, Treatment>
  return { faults, otherwise: remember, copiesUnderWay: () => copies }
}
