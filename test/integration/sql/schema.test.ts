import { readFile } from "node:fs/promises"
import { assert, it } from "vitest"
import { dumpFile, dumpSchema } from "../../../local/dump.ts"
import { openDatabase } from "../../support/sql.ts"

it("docs/schema.sql is what the migrations make: if it differs, run npm run db:dump and read the diff", async (test) => {
  await using database = await openDatabase()
  // Other versions write views in other words.
  const { version } = await database.row<{ version: string }>("select current_setting('server_version') as version")
  test.skip(!version.startsWith("17."), `docs/schema.sql is PostgreSQL 17's, but this is ${version}`)
  assert.strictEqual(await dumpSchema(database.url), await readFile(dumpFile, "utf8"))
})
