import { assert, describe, it } from "@effect/vitest"
import { EXAMPLE_TOPICS } from "../chaos/calls.ts"
import { runChaos } from "../chaos/chaos.ts"
import { FAULTS, replayCommand } from "../chaos/options.ts"
import { printable } from "../chaos/report.ts"

describe("chaos with the examples", { timeout: 1_200_000 }, () => {
  it("each mail, invoice, reorder task and counter is right, whatever dies or goes wrong", async () => {
    const options = { events: 300, mentors: 30, seed: 5, faults: FAULTS, noNet: false, examples: true }
    console.log(replayCommand(options))
    const report = await runChaos(options, { progress: () => {}, log: () => {} })
    assert.isTrue(report.passed, printable(report))
    for (const topic of EXAMPLE_TOPICS) assert.isAtLeast(report.topics[topic]?.["committed"] ?? 0, 10, topic)
    assert.strictEqual(report.notified + (report.deadLetters["neverNotified"] ?? 0), report.events)
  })
})
