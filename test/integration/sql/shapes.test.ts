import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openDatabase } from "../../support/sql.ts"

const anEnum = { enum: ["permanent", "transient", "parked"] }

const RULES: ReadonlyArray<{
  readonly word: unknown
  readonly says: string
  readonly fits: ReadonlyArray<unknown>
  readonly misfits: ReadonlyArray<unknown>
}> = [
  { word: "uuid", says: "a uuid", fits: [randomUUID()], misfits: ["", "1", 1, null] },
  { word: "text", says: "a non-empty string", fits: ["a", "a".repeat(500)], misfits: ["", "a".repeat(501), 1, null] },
  { word: "string", says: "a string", fits: ["", "a".repeat(501)], misfits: [1, {}, null] },
  { word: "object", says: "a JSON object", fits: [{}], misfits: [[], "a", null] },
  { word: "object?", says: "a JSON object or null", fits: [{}, null], misfits: [[], "a"] },
  { word: "array", says: "a JSON array", fits: [[]], misfits: [{}, "a", null] },
  { word: "boolean?", says: "true or false", fits: [true, false, null], misfits: ["true", 1] },
  { word: "token", says: "a whole number", fits: [0, 12], misfits: ["1", 1.5, -1, null] },
  { word: "version?", says: "a whole number from 1", fits: [1, 20, null], misfits: ["1", 1.5, 0, -1] },
  { word: "number?", says: "a number from 0", fits: [0, 1.5, null], misfits: [-1, "1"] },
  { word: "status?", says: "a whole number of HTTP", fits: [100, 503, 999, null], misfits: [42, 1000, 200.5, "200"] },
  { word: anEnum, says: "permanent, transient or parked", fits: anEnum.enum, misfits: ["odd", ["parked"], 1, null] },
  { word: "odd", says: "something that shape_problem() knows", fits: [], misfits: ["odd", null] }
]

describe("the shape of a JSON object", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const problemOf = async (value: unknown, shape: object) => {
    const found = await database.row<{ problem: string | null }>("select outbox.shape_problem($1, $2) as problem", [
      value === undefined ? null : JSON.stringify(value),
      JSON.stringify(shape)
    ])
    return found.problem
  }

  it.for(RULES)("accepts as a $word only what is $says", async ({ word, says, fits, misfits }) => {
    const isOptional = typeof word === "string" && word.endsWith("?")
    assert.strictEqual(await problemOf({}, { x: word }), isOptional ? null : `x must be ${says}`)
    for (const x of fits) assert.isNull(await problemOf({ x }, { x: word }), JSON.stringify(x))
    for (const x of misfits) {
      assert.strictEqual(await problemOf({ x }, { x: word }), `x must be ${says}`, JSON.stringify(x))
    }
  })

  it("lists every problem in the order of the shape, and ignores other fields", async () => {
    const shape = { version: "version?", eventId: "uuid", kind: anEnum, record: "object" }
    assert.strictEqual(
      await problemOf({ record: {}, version: 0, other: 1 }, shape),
      "version must be a whole number from 1; eventId must be a uuid; kind must be permanent, transient or parked"
    )
  })

  it.for([undefined, null, "text", 1, [{ x: {} }]])("is wrong for anything but an object: %j", async (value) => {
    assert.strictEqual(await problemOf(value, { x: "object" }), "it must be a JSON object; x must be a JSON object")
  })
})
