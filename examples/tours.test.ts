import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { examples } from "../local/examples.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

describe.each(examples)("npm start -- --example %s", (name) => {
  it("prints its tour within 80 columns, with a handled event and a dead letter that says why", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["local/start.ts", "--example", name, "--exit", "--pacing", "fast"],
      { cwd: root, env: { ...process.env, NO_COLOR: "1" } }
    )
    assert.deepStrictEqual(
      stdout.split("\n").filter((line) => line.length > 80),
      []
    )
    assert.match(stdout, /✓ \w{8} handled \d+ ms after the commit/)
    assert.match(stdout, /✗ \w{8} is a dead letter:\n {4}\S/)
    assert.notInclude(stdout, "waited")
    assert.match(stdout, /^Stopped\.(?: For the next start, PostgreSQL stays in\n\/\S+)?\n$/m)
  })
})
