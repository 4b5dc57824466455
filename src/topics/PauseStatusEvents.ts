import type { ManagedTopic } from "../services/ManagedTopics.ts"
import { detectTransitionDirection } from "./Transition.ts"

/** How people manage pause-status events: as transitions of mentors. */
export const pauseStatusEvents: ManagedTopic = {
  name: "pause-status",
  transitions: { PAUSE: { status: "paused" }, RESUME: { status: "active" } },
  wordsOf: ({ key, oldRecord, record }) => {
    const oldStatus = oldRecord?.["status"]
    const newStatus = record["status"]
    if (typeof oldStatus !== "string" || typeof newStatus !== "string") return {}
    const { type } = detectTransitionDirection(oldStatus, newStatus)
    return type === "NO_CHANGE" ? {} : { mentorId: key, transition: type, oldStatus, newStatus }
  }
}
