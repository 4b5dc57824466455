import { setTimeout as wait } from "node:timers/promises"
import { type Call, jsonReply, objectsIn, type Treatment } from "./calls.ts"
import type { Fence } from "./Fence.ts"
import type { Random } from "./random.ts"

// Longer than a lease, a sweep and another dispatch together.
const PATIENCE_MILLISECONDS = 6_000

const loseAnswer: Treatment = async (call, forward) => {
  await forward(call)
  return undefined
}

/** What can happen to a claim between the handler and PostgREST. */
export const claimFaults = (random: Random) =>
  ({
    "claim lost": async () => undefined,
    "claim's answer lost": loseAnswer,
    "claim answered 503": async () => jsonReply(503, { code: "PGRST000", message: "injected" }),
    // By then, the handler has given up, and no process holds the claimed events.
    "claim delayed": async (call, forward) => {
      await wait(random.int(100, 3_000))
      return forward(call)
    }
  }) satisfies Record<string, Treatment>

const claimsIn = ({ body }: Call): ReadonlyArray<string> =>
  objectsIn(body, "settlements").map(({ eventId, token }) => `${String(eventId)} ${String(token)}`)

/** What can happen to a settlement between the handler and PostgREST. */
export const settleFaults = (fence: Fence) => {
  const heldBack = new Set<string>()
  const faults = {
    "settlement lost": async () => undefined,
    "settlement's answer lost": loseAnswer,
    "settlement answered 503": async () => jsonReply(503, { code: "PGRST000", message: "injected" }),
    // The worst moment: another delivery has claimed the event.
    "settlement after another claim": async (call, forward) => {
      for (const claim of claimsIn(call)) heldBack.add(claim)
      await Promise.race([fence.claimedAnew(call), wait(PATIENCE_MILLISECONDS)])
      for (const claim of claimsIn(call)) heldBack.delete(claim)
      return forward(call)
    }
  } satisfies Record<string, Treatment>

  // The handler repeats a settlement that is held back. The repeat is lost; otherwise no other claim would ever come.
  const otherwise: Treatment = async (call, forward) =>
    claimsIn(call).some((claim) => heldBack.has(claim)) ? undefined : forward(call)
  return { faults, otherwise }
}
