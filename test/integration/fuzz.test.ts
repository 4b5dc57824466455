import { assert, describe, it } from "@effect/vitest"
import { runFuzz } from "../fuzz/fuzz.ts"
import { randomSeed } from "../fuzz/options.ts"
import { printable } from "../fuzz/report.ts"

const INPUTS = 10_000

// Side by side, because each keeps one core busy.
describe.concurrent("odd, wrong and hostile inputs", { timeout: 300_000 }, () => {
  for (const deno of ["2.1.4", "current"] as const) {
    it(`${INPUTS} are answered as documented on Deno ${deno}, and nobody is told of what is no event`, async () => {
      const seed = randomSeed()
      console.log(`npm run fuzz -- --inputs ${INPUTS} --seed ${seed} --deno ${deno}`)
      const report = await runFuzz({ seed, deno, from: 0, until: { inputs: INPUTS } }, () => {})
      assert.deepStrictEqual(report.faults, [], printable(report))
      assert.strictEqual(report.inputs, INPUTS)
      assert.isAbove(report.told, 0)
    })
  }
})
