import type { Call } from "./calls.ts"

/** The moments of a delivery at which a process is killed. */
export const STEPS = [
  "before claim",
  "after claim",
  "orchestrator called",
  "after orchestrator accepted",
  "before settle",
  "after settle",
  "before reply"
] as const

/** The same, with the steps of the examples. */
export const EXAMPLE_STEPS = [
  ...STEPS,
  "before effect",
  "after effect",
  "mail called",
  "after mail accepted",
  "invoice asked",
  "after invoice made",
  "before upload or link",
  "after upload or link"
] as const
export type Step = (typeof EXAMPLE_STEPS)[number]

/** The step of a request that is about to be passed on. */
export const stepBefore = (call: Call): Step | undefined => {
  switch (call.kind) {
    case "claim":
      return "before claim"
    case "order":
      return "orchestrator called"
    case "effect":
      return "before effect"
    case "mail":
      return "mail called"
    case "invoice":
      return "invoice asked"
    case "storage":
      return "before upload or link"
    case "settle":
      return "before settle"
    default:
      return undefined
  }
}

/** The step of a request whose reply is about to be passed on. */
export const stepAfter = (call: Call): Step | undefined => {
  switch (call.kind) {
    case "claim":
      return "after claim"
    case "order":
      return "after orchestrator accepted"
    case "effect":
      return "after effect"
    case "mail":
      return "after mail accepted"
    case "invoice":
      return "after invoice made"
    case "storage":
      return "after upload or link"
    case "settle":
      return "after settle"
    case "delivery":
      return "before reply"
    default:
      return undefined
  }
}
