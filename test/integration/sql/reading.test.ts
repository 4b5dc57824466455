import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openDatabase } from "../../support/sql.ts"

const uuid = randomUUID()
const digits = uuid.replaceAll("-", "")

const TEXTS = {
  uuid: [
    uuid,
    uuid.toUpperCase(),
    digits,
    `{${uuid}}`,
    `{${digits}}`,
    `{${uuid}`,
    `${uuid}}`,
    digits.replaceAll(/(.{4})(?=.)/g, "$1-"),
    digits.replaceAll(/(.{2})(?=.)/g, "$1-"),
    `${uuid}-`,
    `-${uuid}`,
    uuid.replace("-", "--"),
    ` ${uuid}`,
    `${uuid}\n`,
    digits.slice(1),
    `${digits}0`,
    `g${digits.slice(1)}`,
    "",
    "null",
    "٣".repeat(32)
  ],
  timestamptz: [
    "2026-11-22T10:00:00.123456+00:00",
    "2026-11-22 10:00",
    "2026-11-22T10:00:00Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T25:00:00Z",
    "2026-02-29T10:00:00Z",
    "2028-02-29T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "0000-01-01T10:00:00Z",
    "2026-11-22T10:00:00+99:00",
    "2026-11-22T10:00:00 Nowhere/City",
    "999999-01-01T00:00Z",
    ""
  ]
} as const

const TESTS = {
  uuid: "outbox.is_uuid($1)",
  timestamptz: "outbox.parse_timestamp($1) is not null"
} as const

describe("what is read as a value", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it.for(["uuid", "timestamptz"] as const)("is what PostgreSQL reads as one: %s", async (type) => {
    const expected: Array<readonly [string, boolean]> = []
    const found: Array<readonly [string, boolean]> = []
    for (const text of TEXTS[type]) {
      const isTaken = await database.rows(`select $1::${type}`, [text]).then(
        () => true,
        () => false
      )
      expected.push([text, isTaken])
      found.push([text, (await database.row<{ yes: boolean }>(`select ${TESTS[type]} as yes`, [text])).yes])
    }
    assert.deepStrictEqual(found, expected)
    assert.isTrue(found.some(([, yes]) => yes) && found.some(([, yes]) => !yes))
  })

  it.for(["now", "yesterday", "yesterday's", "infinity", "epoch"])(
    "is not a time if it is a word: %s",
    async (word) => {
      const { time } = await database.row<{ time: unknown }>("select outbox.parse_timestamp($1) as time", [word])
      assert.isNull(time)
    }
  )

  it("is nothing if there is nothing to read", async () => {
    const nothing = await database.row(
      `select outbox.is_uuid(null) as uuid, outbox.parse_timestamp(null) as time, outbox.parse_object(null) as object`
    )
    assert.deepStrictEqual(nothing, { uuid: false, time: null, object: null })
  })
})
