import { assert, describe, it } from "@effect/vitest"
import { namesOf } from "../../../cli/Release.ts"
import { differences, withFunctions, withoutFunctions } from "../../../cli/install/configToml.ts"

describe("config.toml", () => {
  const names = namesOf(false)
  const both = withFunctions('project_id = "a"\n', names)

  it("gets a table for each function, once", () => {
    assert.lengthOf([...both.matchAll(/^\[functions\.pause-[a-z-]+\]$/gm)], 2)
    assert.strictEqual(withFunctions(both, names), both)
    assert.deepStrictEqual(differences(both, names), [])
  })

  it("loses exactly these tables on removal", () => {
    assert.strictEqual(withoutFunctions(both), 'project_id = "a"\n')
    assert.strictEqual(
      withoutFunctions(`${both}\n[auth]\nenabled = true\n`),
      'project_id = "a"\n\n[auth]\nenabled = true\n'
    )
    const changed = both.replaceAll("false", "true")
    assert.strictEqual(withoutFunctions(changed), changed)
  })

  it("may be spelled differently", () => {
    const spelled = both
      .replaceAll("verify_jwt = false", "verify_jwt=false # Postgres calls it")
      .replaceAll(/\[functions\.([a-z-]+)\]/g, '[ functions . "$1" ]')
    assert.deepStrictEqual(differences(spelled, names), [])
    assert.strictEqual(withFunctions(spelled, names), spelled)
  })

  it("gets no second table for a function that is written without one, which no parser would accept", () => {
    const entrypoint = 'entrypoint = "./functions/pause-status-webhook-handler/index.mjs"'
    const inline = (settings: string) =>
      `[functions]\npause-status-webhook-handler = { ${settings} }\n"pause-notification-orchestrator" = {}\n`
    assert.strictEqual(withFunctions(inline("verify_jwt = false"), names), inline("verify_jwt = false"))
    assert.deepStrictEqual(differences(inline("verify_jwt=false"), names)[0]?.lacks, [entrypoint])
    assert.notInclude(
      differences(inline(`verify_jwt = false, ${entrypoint}`), names).map(({ name }) => name),
      "pause-status-webhook-handler"
    )
    const dotted = "functions.pause-status-webhook-handler.verify_jwt = true\n"
    assert.notMatch(withFunctions(dotted, names), /^\[functions\.pause-status-webhook-handler\]/m)
    assert.lengthOf(differences(dotted, names)[0]?.lacks ?? [], 2)
  })

  it("differs where a table says something else, and not because of what comes after it", () => {
    const toml = '[functions.pause-status-webhook-handler]\nentrypoint = "./x.ts"\n[other]\nverify_jwt = false\n'
    assert.deepStrictEqual(differences(toml, names), [
      {
        name: "pause-status-webhook-handler",
        lacks: ["verify_jwt = false", 'entrypoint = "./functions/pause-status-webhook-handler/index.mjs"']
      }
    ])
  })
})
