import { setTimeout as wait } from "node:timers/promises"
import { eventIdsIn, type Forward, jsonReply, objectsIn, type Call, type Reply, type Treatment } from "./calls.ts"
import type { Random } from "./random.ts"

// Longer than the handler waits for the orchestrator, and than the lease.
const LATE_MILLISECONDS = 3_500

/** What can happen to a call of the orchestrator or of tell_order. Adds events that got a 400 to `refused`. */
export const orderFaults = (random: Random, refused: Set<string>) => {
  // Passes on the others, and merges its refusal into their replies in order.
  const refuseOne = async (call: Call, forward: Forward): Promise<Reply> => {
    const eventIds = eventIdsIn(call.body)
    const chosen = random.pick(eventIds)
    const entry = { eventId: chosen, status: 400 }
    if (eventIds.length === 1) {
      refused.add(chosen)
      return jsonReply(400, entry)
    }
    const others = objectsIn(call.body).filter(({ eventId }) => eventId !== chosen)
    const reply = await forward({ ...call, body: Buffer.from(JSON.stringify(others)) })
    if (reply.status !== 200) return reply
    refused.add(chosen)
    const results = objectsIn(reply.body, "results").toSpliced(eventIds.indexOf(chosen), 0, entry)
    return jsonReply(200, { results })
  }

  const faults = {
    "status 500": async () => jsonReply(500, { message: "injected" }),
    "status 429": async () => jsonReply(429, { message: "injected" }, ["retry-after", "1"]),
    "one event refused": refuseOne,
    unreachable: async () => undefined,
    "no answer": async () => {
      await wait(LATE_MILLISECONDS)
      return undefined
    },
    slow: async (call, forward) => {
      await wait(random.int(50, 900))
      return forward(call)
    },
    "accepted, answer lost": async (call, forward) => {
      await forward(call)
      return undefined
    },
    "accepted after everybody gave up": async (call, forward) => {
      await wait(LATE_MILLISECONDS)
      return forward(call)
    }
  } satisfies Record<string, Treatment>
  return faults
}
