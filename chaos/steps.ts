import type { Call } from "./calls.ts"

/** The moments in the life of a delivery at which somebody is killed. */
export const STEPS = [
  "before claim",
  "after claim",
  "orchestrator called",
  "after orchestrator accepted",
  "before settle",
  "after settle",
  "before reply"
] as const
export type Step = (typeof STEPS)[number]

/** The step that a request is at when it is about to be passed on. */
export const stepBefore = (call: Call): Step | undefined => {
  switch (call.kind) {
    case "claim":
      return "before claim"
    case "order":
      return "orchestrator called"
    case "settle":
      return "before settle"
    default:
      return undefined
  }
}

/** The step that a request is at when its answer is about to be passed on. */
export const stepAfter = (call: Call): Step | undefined => {
  switch (call.kind) {
    case "claim":
      return "after claim"
    case "order":
      return "after orchestrator accepted"
    case "settle":
      return "after settle"
    case "delivery":
      return "before reply"
    default:
      return undefined
  }
}
