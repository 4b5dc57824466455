import { assert, describe, it } from "@effect/vitest"
import { EventTime, MentorId } from "../../src/schema/Identifiers.ts"
import { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { fingerprint } from "../../src/services/DedupeStore.ts"
import { eventId, mentorId, pauseEvent } from "../support/payloads.ts"

const parts = (event: PauseEvent) =>
  JSON.stringify([event.mentorId.toLowerCase(), event.transition, event.occurredAt, event.version ?? null])

describe("fingerprint", () => {
  it("is mentor, transition, raw time and version", () => {
    assert.strictEqual(fingerprint(pauseEvent), `${mentorId} PAUSE 2026-11-22T09:30:00.123456Z 7`)
  })

  it("has a dash where there is no version", () => {
    const { version: _, ...unversioned } = pauseEvent
    assert.strictEqual(fingerprint(unversioned), `${mentorId} PAUSE 2026-11-22T09:30:00.123456Z -`)
  })

  it("is the same for an id in any case", () => {
    const upper = { ...pauseEvent, mentorId: MentorId.make(mentorId.toUpperCase()) }
    assert.strictEqual(fingerprint(upper), fingerprint(pauseEvent))
  })

  it("changes with each of its parts", () => {
    const others: ReadonlyArray<PauseEvent> = [
      { ...pauseEvent, mentorId: MentorId.make(eventId) },
      { ...pauseEvent, transition: "RESUME" },
      { ...pauseEvent, occurredAt: EventTime.make("2026-11-22T09:30:00.123457Z") },
      { ...pauseEvent, version: 8 }
    ]
    assert.strictEqual(new Set([pauseEvent, ...others].map(fingerprint)).size, 5)
  })

  it.prop("is the same for two events exactly when their parts are", [PauseEvent, PauseEvent], ([one, other]) => {
    assert.strictEqual(fingerprint(one) === fingerprint(other), parts(one) === parts(other))
  })
})
