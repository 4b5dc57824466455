import { assert, describe, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import { layOut, Output } from "../../cli/Output.ts"
import { keepingConsole } from "../support/pauseStatus.ts"

const words = (count: number) => Array.from({ length: count }, () => "word").join(" ")

describe("output", () => {
  it("breaks a line at 80 columns, and indents the rest like its first part", () => {
    assert.strictEqual(layOut([words(16)]), words(16))
    assert.strictEqual(layOut([words(17)]), `${words(16)}\nword`)
    assert.strictEqual(layOut([`  - ${words(20)}`]), `  - ${words(15)}\n    ${words(5)}`)
  })

  it("keeps line breaks, a command and a word that is too long as they are", () => {
    const command = `  npx supabase ${words(20)}`
    assert.strictEqual(layOut(["a\n\nb", command, "x".repeat(90)]), `a\n\nb\n${command}\n${"x".repeat(90)}`)
  })

  const printed = (output: Output["Service"]) =>
    Effect.gen(function* () {
      const { console, kept } = keepingConsole()
      yield* Effect.all([
        output.note("meanwhile"),
        output.report(["the text"], { the: "value" }),
        output.failure(["no"], { error: "no" })
      ]).pipe(Effect.provideService(Console.Console, console))
      return kept
    })

  it.effect("for people has only the report on stdout", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* printed(Output.text), { stdout: "the text\n", stderr: "meanwhile\nno\n" })
    })
  )

  it.effect("for programs is only JSON", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* printed(Output.json), {
        stdout: '{"the":"value"}\n{"error":"no"}\n',
        stderr: ""
      })
    })
  )
})
