import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { pauseStatus } from "../../support/pauseStatus.ts"

const doctor = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  pauseStatus("doctor", ...args).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))
  )

describe("pause-status doctor", () => {
  it.effect("describes itself within 80 columns", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* doctor({}, "--help")
      assert.strictEqual(code, 0)
      assert.include(stdout, "--canary")
      for (const line of stdout.split("\n")) assert.isAtMost(line.length, 80, line)
    })
  )

  it.effect.each([
    ["nothing to look at", [], /Give --database-url, or --url and --key/],
    [
      "a URL without a key",
      ["--url", "https://abc.supabase.co"],
      /There is no key.*\s+Pass --key or set\s+SUPABASE_SECRET_KEY/
    ],
    ["a key of two lines", ["--url", "https://abc.supabase.co", "--key", "sb_\nsecret"], /has a space, a line break/],
    ["no URL", ["--url", "abc", "--key", "k"], /--url is no URL: abc/],
    [
      "a canary without a database",
      ["--url", "https://abc.supabase.co", "--key", "k", "--canary"],
      /needs --database-url/
    ],
    ["a database that nobody answers for", ["--database-url", "postgres://127.0.0.1:1/x"], /does not answer/]
  ] as const)("with %s exits with 2, and says what to give", ([, args, says]) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* doctor({}, ...args)
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.match(stderr, says)
    })
  )

  it.effect("takes what is secret from the environment", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* doctor({ DATABASE_URL: "postgres://127.0.0.1:1/x" })
      assert.strictEqual(code, 2)
      assert.include(stderr, "127.0.0.1:1")
      const key = yield* doctor({ SUPABASE_SECRET_KEY: "k" }, "--url", "abc")
      assert.include(key.stderr, "--url is no URL")
    })
  )
})
