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
  it("are installed unchanged for the default table", () => {
    assert.deepStrictEqual(render(migrations, defaults), migrations)
  })

  it("check another table first, then differ where they watch it and read its key's type", () => {
    const [check, ...others] = render(migrations, mentors)
    const differing = others.filter(({ text }, index) => text !== migrations[index]?.text)
    assert.deepStrictEqual(
      [check, ...differing].map((file) => file?.name),
      ["check_mentors", "create_coordinators", "watch_mentors"]
    )
    for (const { text } of differing) {
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
