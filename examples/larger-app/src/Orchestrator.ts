import { Effect, Layer, Result } from "effect"
import { type EventId, OrchestratorClient, type PauseEvent, type Receipt } from "pause-status-webhook-handler"

/** Notifies people in this process instead of calling another one. It keeps receipts, so an event is notified once. */
export const layer = Layer.sync(OrchestratorClient, () => {
  const receipts = new Map<EventId, Receipt>()

  const tell = Effect.fn("Orchestrator.tell")(
    function* (event: PauseEvent) {
      const known = receipts.get(event.eventId)
      if (known !== undefined) return known
      yield* Effect.logInfo("notifying the coordinators", event.transition)
      const receipt = { notified: 1 }
      receipts.set(event.eventId, receipt)
      return receipt
    },
    Effect.annotateLogs({ service: "orchestrator" })
  )

  return OrchestratorClient.of({
    atOnce: 100,
    notify: (events) => Effect.forEach(events, (event) => Effect.map(tell(event), Result.succeed))
  })
})
