import { assert, describe, it } from "@effect/vitest"
import { storableReceipt } from "../../src/layers/StorableReceipt.ts"

describe("a receipt on its way to the database", () => {
  it("is unchanged if the database can hold it", () => {
    const receipt = { notified: 2, text: '\\u0000 \\\\ud83d "ü" \ud83d\ude00\n', nested: [null, 1.5, { "": false }] }
    assert.deepStrictEqual(storableReceipt(receipt), receipt)
  })

  it("has U+FFFD instead of what jsonb refuses, even in names", () => {
    assert.deepStrictEqual(storableReceipt({ "a\u0000": ["\ud83d", "x\udc00\\", "\\\u0000"] }), {
      "a\ufffd": ["\ufffd", "x\ufffd\\", "\\\ufffd"]
    })
  })

  it("says what was left out, and keeps how many were notified", () => {
    assert.deepStrictEqual(storableReceipt({ notified: 0, text: "x".repeat(16_384) }), {
      notified: 0,
      omitted: "it is longer than 16384 characters"
    })
    assert.deepStrictEqual(storableReceipt({ deep: JSON.parse("[".repeat(101) + "]".repeat(101)) }), {
      omitted: "it is nested more than 100 levels deep"
    })
  })
})
