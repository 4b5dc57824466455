import { assert, describe, it } from "@effect/vitest"
import { runFuzz } from "../fuzz/fuzz.ts"
import type { World } from "../fuzz/Input.ts"
import { inputAt } from "../fuzz/inputs.ts"
import { judge } from "../fuzz/judge.ts"
import { UsageError } from "../../local/commandLine.ts"
import { parseOptions } from "../fuzz/options.ts"
import { printable } from "../fuzz/report.ts"
import type { Outcome } from "../fuzz/wire.ts"
import { openContract } from "../support/contract.ts"
import { otherSecret, secret } from "../support/signing.ts"

const INPUTS = 10_000

// Side by side, because each keeps one core busy.
describe.concurrent("odd, wrong and hostile inputs", { timeout: 1_200_000 }, () => {
  // Always the same ones, for a change must not be blamed for what it did not do: npm run fuzz goes looking for others.
  for (const [deno, seed] of [
    ["2.1.4", 1914],
    ["current", 2026]
  ] as const) {
    it(`${INPUTS} are answered as documented on Deno ${deno}, and only real events are notified`, async () => {
      console.log(`npm run fuzz -- --inputs ${INPUTS} --seed ${seed} --deno ${deno}`)
      const report = await runFuzz({ seed, deno, from: 0, until: { inputs: INPUTS } }, () => {})
      assert.deepStrictEqual(report.faults, [], printable(report))
      assert.strictEqual(report.inputs, INPUTS)
      assert.isAbove(report.told, 0)
    })
  }
})

const world: World = {
  secret,
  mentorIds: ["3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b"],
  eventIds: ["0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"],
  jwt: { issuer: "http://127.0.0.1/auth/v1", secret: otherSecret },
  serviceKey: "sb_secret_1",
  publishableKey: "sb_publishable_1",
  bodyTimeoutMillis: 1_000,
  maxBodyBytes: 262_144
}

describe("an input", () => {
  const essence = (seed: number) =>
    Array.from({ length: 300 }, (_, index) => {
      const { alone, genuine, kind, replies } = inputAt(seed, index, world)
      return { alone, genuine, kind, replies }
    })

  it("depends only on its seed and its index", () => {
    assert.deepStrictEqual(essence(7), essence(7))
    assert.notDeepEqual(essence(7), essence(8))
  })
})

describe("an answer", () => {
  const problem = (status: number, code: string) =>
    JSON.stringify({ type: "about:blank", title: "Title", status, code, detail: "Detail" })

  const answer = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Outcome => ({
    replies: [
      {
        status,
        headers: new Map(Object.entries({ "content-type": "application/problem+json", ...headers })),
        body: Buffer.from(body)
      }
    ],
    rest: Buffer.alloc(0),
    end: "open",
    millis: 1
  })
  const input = {
    kind: "wrong",
    pieces: [],
    replies: [{ words: ["400 malformed_json"], method: "POST" }],
    alone: false
  }
  const surprisesIn = async (outcome: Outcome) => judge(input, outcome, world, await openContract()).surprises.length

  it("that was expected is not a surprise", async () => {
    assert.strictEqual(await surprisesIn(answer(400, problem(400, "malformed_json"))), 0)
  })

  it.each([
    ["of another kind", answer(415, problem(415, "unsupported_media_type"))],
    ["500", answer(500, problem(500, "internal"))],
    ["of another shape", answer(400, "{}")],
    ["of another type", answer(400, problem(400, "malformed_json"), { "content-type": "text/plain" })],
    ["with more members than documented", answer(400, problem(400, "malformed_json").replace("{", '{"stack":"",'))],
    ["that repeats a value", answer(400, problem(400, "malformed_json").replace("Detail", "canary-5e1f"))],
    ["with another status in its body", answer(400, problem(401, "malformed_json"))],
    ["that comes late", { ...answer(400, problem(400, "malformed_json")), end: "late" } as const],
    ["with more after it", { ...answer(400, problem(400, "malformed_json")), rest: Buffer.from("HTTP/1.1 200 OK") }],
    ["that never comes", { ...answer(400, ""), replies: [], end: "closed" } as const]
  ])("%s is a surprise", async (_, outcome) => {
    assert.isAbove(await surprisesIn(outcome), 0)
  })
})

describe("the command line", () => {
  it("takes how many, for how long, or which one", () => {
    const common = { seed: 5, deno: "2.1.4", write: false, from: 0 } as const
    assert.deepStrictEqual(parseOptions(["--seed", "5"]), { ...common, until: { inputs: 20_000 } })
    assert.deepStrictEqual(parseOptions(["--seed", "5", "--minutes", "10"]), { ...common, until: { minutes: 10 } })
    assert.deepStrictEqual(parseOptions(["--seed", "5", "--deno", "current", "--only", "31"]), {
      seed: 5,
      deno: "current",
      write: false,
      from: 31,
      until: { inputs: 1 }
    })
    assert.strictEqual(parseOptions(["--help"]), "help")
  })

  it.each([["--seed", "x"], ["--inputs", "0"], ["--minutes", "1.5"], ["--only", "-1"], ["--deno", "1"], ["--what"]])(
    "is refused with %s %s",
    (...args) => {
      assert.throws(() => parseOptions(args), UsageError)
    }
  )
})
