import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { render, uninstallMigration } from "../../../cli/install/render.ts"
import { defaults } from "../../../cli/install/Watched.ts"

const folder = new URL("../../../supabase/migrations/", import.meta.url)
const migrations = readdirSync(folder)
  .toSorted()
  .map((file) => ({ name: file.replaceAll(/^\d+_|\.sql$/g, ""), text: readFileSync(new URL(file, folder), "utf8") }))
const mentors = { ...defaults, table: 'public."Mentors"', key: "no$1" }

describe("the migrations of this release", () => {
  it("are installed to the letter for the default table", () => {
    assert.deepStrictEqual(
      migrations.map((file) => render(file, defaults)),
      migrations.map(({ text }) => text)
    )
  })

  it("differ for another table in what watches it and in what learns the type of its key, and nowhere else", () => {
    const differing = migrations.filter((file) => render(file, mentors) !== file.text)
    assert.deepStrictEqual(
      differing.map(({ name }) => name),
      ["create_coordinators", "watch_mentors"]
    )
    for (const file of differing) {
      const text = render(file, mentors)
      assert.notInclude(text, "peer_mentor_profiles")
      assert.include(text, 'public."Mentors"')
      assert.include(text, "no$1")
    }
  })

  it("are undone with every function that they made in public", () => {
    const made = migrations.flatMap(({ text }) => [...text.matchAll(/create (?:or replace )?function public\.(\w+)/gi)])
    assert.isAbove(made.length, 5)
    const text = uninstallMigration(migrations)
    for (const [, name] of made) assert.include(text, `'${name}'`)
  })
})
