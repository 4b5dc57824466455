import { readFile } from "node:fs/promises"
import { assert, it } from "vitest"
import { dumpFile, dumpSchema } from "../../../local/dump.ts"
import { openDatabase } from "../../support/sql.ts"

it("docs/schema.sql is what the migrations make: if it differs, run npm run db:dump and read the diff", async () => {
  await using database = await openDatabase()
  assert.strictEqual(await dumpSchema(database.url), await readFile(dumpFile, "utf8"))
})
