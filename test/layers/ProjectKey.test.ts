import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import * as Hmac from "../../src/layers/Hmac.ts"
import { ProjectKey } from "../../src/layers/ProjectKey.ts"
import { config } from "../support/layers.ts"
import { HeaderText } from "../support/signing.ts"

const keys = {
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1","jobs":"sb_secret_2"}',
  SUPABASE_SERVICE_ROLE_KEY: "eyJ.x"
}

const fate = (headers: Readonly<Record<string, string>>) =>
  ProjectKey.use((projectKey) => projectKey.check(new Headers(headers))).pipe(
    Effect.provide(ProjectKey.layer),
    Effect.provide(config(keys)),
    Effect.match({ onSuccess: () => "let in", onFailure: (error) => error._tag })
  )

describe("ProjectKey", () => {
  it.effect.each([
    { apikey: "sb_secret_1" },
    { apikey: "sb_secret_2" },
    { apikey: "eyJ.x" },
    { authorization: "Bearer eyJ.x" },
    { authorization: "bearer sb_secret_1" },
    { apikey: "sb_publishable_1", authorization: "Bearer sb_secret_1" }
  ])("accepts one of the project's keys: %j", (headers) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* fate(headers), "let in")
    })
  )

  it.effect.each([
    {},
    { apikey: "" },
    { authorization: "" },
    { authorization: "Bearer " },
    { authorization: "sb_secret_1" },
    { apikey: "sb_secret_" },
    { apikey: "sb_secret_11" },
    { apikey: "SB_SECRET_1" },
    { apikey: '{"default":"sb_secret_1","jobs":"sb_secret_2"}' },
    { authorization: "Basic sb_secret_1" },
    { authorization: "Bearer Bearer sb_secret_1" },
    { cookie: "sb_secret_1" }
  ])("accepts no other key: %j", (headers) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* fate(headers), "CredentialsRejected")
    })
  )
})

describe("equalToAny", () => {
  it.effect.prop(
    "is true exactly for one of the secrets",
    [Schema.Array(HeaderText), HeaderText],
    ([secrets, given]) =>
      Effect.gen(function* () {
        const matches = yield* Hmac.equalToAny(secrets.map((secret) => Redacted.make(secret)))
        assert.strictEqual(yield* matches(given), secrets.includes(given))
        for (const secret of secrets) assert.isTrue(yield* matches(secret))
      }),
    { arbitrary: { runs: 50 } }
  )
})
