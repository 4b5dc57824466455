import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { ManagedTopic } from "../services/ManagedTopics.ts"
import { detectTransitionDirection } from "../services/Transition.ts"

const Status = Schema.Struct({ status: Schema.String })
const readStatuses = Schema.decodeUnknownOption(Schema.Struct({ record: Status, oldRecord: Status }))

/** How people look after pause-status events: as transitions of mentors. */
export const pauseStatusEvents: ManagedTopic = {
  name: "pause-status",
  transitions: { PAUSE: { status: "paused" }, RESUME: { status: "active" } },
  wordsOf: (event) =>
    Option.match(readStatuses(event), {
      onNone: () => ({}),
      onSome: ({ oldRecord: { status: oldStatus }, record: { status: newStatus } }) => {
        const { type } = detectTransitionDirection(oldStatus, newStatus)
        return type === "NO_CHANGE" ? {} : { mentorId: event.key, transition: type, oldStatus, newStatus }
      }
    })
}
