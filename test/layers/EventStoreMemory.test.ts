import { Effect } from "effect"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { seedMemory } from "../support/events.ts"
import { eventStoreContract } from "../services/EventStoreContract.ts"

const { layer, state } = EventStoreMemory.make("pause-status")

eventStoreContract("EventStoreMemory", {
  layer: () => layer,
  seed: seedMemory(state),
  assign: (coordinatorId, mentorId) => Effect.sync(() => state.visibleTo.set(coordinatorId, new Set([mentorId])))
})
