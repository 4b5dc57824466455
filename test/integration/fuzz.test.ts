import { assert, describe, it } from "@effect/vitest"
import { runFuzz } from "../fuzz/fuzz.ts"
import { randomSeed } from "../fuzz/options.ts"
import { printable } from "../fuzz/report.ts"

const INPUTS = 20_000

describe("the running function", { timeout: 300_000 }, () => {
  it(`answers ${INPUTS} odd, wrong and hostile inputs as documented, and tells nobody of what is no event`, async () => {
    const seed = randomSeed()
    console.log(`npm run fuzz -- --inputs ${INPUTS} --seed ${seed}`)
    const report = await runFuzz({ seed, from: 0, until: { inputs: INPUTS } }, () => {})
    assert.deepStrictEqual(report.faults, [], printable(report))
    assert.strictEqual(report.inputs, INPUTS)
    assert.isAbove(report.told, 0)
  })
})
