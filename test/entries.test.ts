import { assert, describe, it } from "@effect/vitest"
import { Predicate } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { openapiText } from "../local/openapi.ts"
import * as client from "../src/entries/client.ts"
import * as http from "../src/entries/http.ts"
import * as program from "../src/entries/index.ts"
import * as supabase from "../src/entries/supabase.ts"
import * as testing from "../src/entries/testing.ts"
import * as topic from "../src/entries/topic.ts"

const read = (path: string): string => readFileSync(join(import.meta.dirname, "..", path), "utf8")
const manifest = JSON.parse(read("package.json"))
const exampleApp = "examples/larger-app"
const composition = read("docs/composition.md")
const entries = {
  ".": program,
  "./topic": topic,
  "./http": http,
  "./supabase": supabase,
  "./client": client,
  "./testing": testing
}

describe("the package", () => {
  it("has one version: manifest, lock, example, changelog, contract and log", () => {
    const { version } = manifest
    const lock = JSON.parse(read("package-lock.json"))
    const example = JSON.parse(read(`${exampleApp}/package.json`))
    assert.match(version, /^\d+\.\d+\.\d+$/)
    assert.strictEqual(program.packageVersion, version)
    assert.deepStrictEqual([lock.version, lock.packages[""].version], [version, version])
    assert.strictEqual(example.dependencies[manifest.name], version)
    assert.strictEqual(/^## \[([^\]]+)\]/m.exec(read("CHANGELOG.md"))?.[1], version)
    assert.strictEqual(JSON.parse(openapiText()).info.version, version)
  })

  it("is tested with the Effect that it is built with: app, platform and peer", () => {
    const { dependencies } = JSON.parse(read(`${exampleApp}/package.json`))
    const { effect } = manifest.devDependencies
    assert.deepStrictEqual([dependencies.effect, dependencies["@effect/platform-node"]], [effect, effect])
    assert.strictEqual(manifest.peerDependencies.effect, `^${effect}`)
  })

  it("exports every entry", () => {
    const names = Object.keys(manifest.exports).filter((name) => /^\.(?:\/[a-z]+)?$/.test(name))
    assert.sameMembers(names, Object.keys(entries))
    assert.deepStrictEqual(
      names.map((name) => manifest.exports[name]),
      names.map((name) => `./dist/entries/${name === "." ? "index" : name.slice(2)}.js`)
    )
  })

  it.each(["./topic", "./http", "./supabase", "./testing"] as const)(
    "each layer of %s has its row in docs/composition.md",
    (name) => {
      const layers = Object.entries(entries[name]).flatMap(([module, value]) =>
        Predicate.hasProperty(value, "layer") ? [module] : []
      )
      assert.isNotEmpty(layers)
      assert.deepStrictEqual(
        layers.filter((module) => !new RegExp(`^\\| \`${module}\\.layer`, "m").test(composition)),
        []
      )
    }
  )

  it("docs/topics.md shows the code of the example, which is installed and run", () => {
    const filesBelow = (folder: string) => readdirSync(join(import.meta.dirname, "..", folder))
    const shownIn = (page: string, language: string): ReadonlyArray<string> =>
      [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, code = ""]) => code)
    const textsOf = (folder: string) => filesBelow(folder).map((name) => read(`${folder}/${name}`))
    const programs = shownIn(read("docs/topics.md"), "ts")
    assert.lengthOf(programs, 4)
    const source = textsOf(`${exampleApp}/src`)
    assert.deepStrictEqual(
      programs.filter((program) => !source.some((text) => text.includes(program))),
      []
    )
    const [declaration = ""] = shownIn(read("docs/topics.md"), "sql")
    assert.isTrue(textsOf(`${exampleApp}/supabase/migrations`).some((text) => text.endsWith(declaration)))
  })
})
