import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { packageVersion } from "../../src/schema/PackageVersion.ts"
import { pauseStatus } from "../support/pauseStatus.ts"

describe("pause-status", () => {
  it.effect("prints its help, within 80 columns, without arguments or with --help", () =>
    Effect.gen(function* () {
      const alone = yield* pauseStatus()
      assert.deepStrictEqual(alone, yield* pauseStatus("--help"))
      assert.deepInclude(alone, { code: 0, stderr: "" })
      assert.include(alone.stdout, "--json")
      for (const line of alone.stdout.split("\n")) assert.isAtMost(line.length, 80, line)
    })
  )

  it.effect("prints its version", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* pauseStatus("--version")).stdout, `pause-status v${packageVersion}\n`)
    })
  )

  it.effect("says what it does not understand and how to get help, and exits with 2", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* pauseStatus("--colour"), {
        code: 2,
        stdout: "",
        stderr: "Unrecognized flag: --colour in command pause-status\nRun: npx pause-status --help\n"
      })
    })
  )

  it.effect("says it in JSON with --json", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* pauseStatus("--json", "--colour")
      assert.deepStrictEqual(
        [code, stderr, JSON.parse(stdout)],
        [
          2,
          "",
          {
            error: "Unrecognized flag: --colour in command pause-status",
            hint: "Run: npx pause-status --help"
          }
        ]
      )
    })
  )
})
