import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { EventId, EventTime, MentorId, Version } from "../../src/schema/Identifiers.ts"
import { mentorId } from "../support/payloads.ts"

const isEventTime = Schema.is(EventTime)
const isVersion = Schema.is(Version)

describe("identifiers", () => {
  it.each([
    "2026-11-22T09:30:00.123456+00:00",
    "2026-11-22 09:30:00.123456+00",
    "2026-11-22T09:30:00Z",
    "2026-11-22T09:30:00",
    "2026-11-22T09:30:00.123456789Z",
    "2026-11-22 09:30:00-03:30",
    "2026-11-22 09:30:00+053020",
    "12026-11-22T09:30:00+00:00"
  ])("an event time may be written as %s", (text) => {
    assert.isTrue(isEventTime(text))
  })

  it.each([
    "",
    "yesterday",
    "2026-11-22",
    "2026-11-22T09:30",
    "infinity",
    "2026-11-22T09:30:00.Z",
    "2026-11-22T09:30:00.1234567890Z",
    "2026-11-22T09:30:00+00:00\n",
    " 2026-11-22T09:30:00Z",
    "2026-11-22T09:30:00Z; drop table"
  ])("an event time is never written as %j", (text) => {
    assert.isFalse(isEventTime(text))
  })

  it("an event time is kept as its raw text", () => {
    const text = "2026-11-22T09:30:00.123456+00:00"
    assert.strictEqual(Schema.decodeUnknownSync(EventTime)(text), text)
  })

  it.each([mentorId, mentorId.toUpperCase(), "11111111-1111-1111-1111-111111111111"])(
    "an event id is any uuid that Postgres accepts: %s",
    (id) => {
      assert.isTrue(Schema.is(EventId)(id))
    }
  )

  it.each(["", "42", mentorId.slice(1), `${mentorId}0`, `{${mentorId}}`, mentorId.replaceAll("-", ""), 42, null])(
    "an event id is not %j",
    (id) => {
      assert.isFalse(Schema.is(EventId)(id))
    }
  )

  it.each([mentorId, "42", "9223372036854775807", "Ada Lovelace", " ", "🌱", "x".repeat(200), "🌱".repeat(100)])(
    "a mentor id is any key in text: %s",
    (id) => {
      assert.isTrue(Schema.is(MentorId)(id))
    }
  )

  it.each(["", 42, null, "x".repeat(201), "a\u0000b", "a\nb", "a\u007f", "a\u0085", "\ud83c"])(
    "a mentor id is not %j",
    (id) => {
      assert.isFalse(Schema.is(MentorId)(id))
    }
  )

  it("a version is a whole number from 1", () => {
    assert.isTrue(isVersion(1))
    assert.isTrue(isVersion(Number.MAX_SAFE_INTEGER))
    for (const wrong of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1", null]) {
      assert.isFalse(isVersion(wrong), String(wrong))
    }
  })
})
