import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { EventId } from "../schema/Identifiers.ts"

const isEventId = Schema.is(EventId)
const utf8 = new TextEncoder()

const hexByte = (byte: number): string => byte.toString(16).padStart(2, "0")

const toUuid = (digest: Uint8Array): string => {
  const hex = Array.from(digest.subarray(0, 16), (byte, index) =>
    hexByte(index === 6 ? (byte & 0x0f) | 0x80 : index === 8 ? (byte & 0x3f) | 0x80 : byte)
  ).join("")
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-")
}

/** A uuid in lower case, as Postgres writes it; any other text as it is. */
export const lowerCaseUuid = (text: string): string => (isEventId(text) ? text.toLowerCase() : text)

/**
 * The event id that stands for a key. A uuid is its own id, in lower case; any other text gets a uuid derived from
 * its SHA-256, the same each time.
 *
 * **Source** RFC 9562, version 8.
 */
export const eventIdFromKey = (key: string): Effect.Effect<EventId> => {
  const lower = key.toLowerCase()
  return isEventId(lower)
    ? Effect.succeed(lower)
    : Effect.map(
        Effect.promise(() => crypto.subtle.digest("SHA-256", utf8.encode(key))),
        (digest) => EventId.make(toUuid(new Uint8Array(digest)))
      )
}

/** The event id that a payload names, when it can be read. */
export const eventIdOf = (payload: unknown): EventId | undefined => {
  const eventId = Predicate.hasProperty(payload, "event_id") ? payload.event_id : undefined
  return isEventId(eventId) ? eventId : undefined
}
