import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as AccessSupabase from "../../src/layers/AccessSupabase.ts"
import { Access } from "../../src/services/Access.ts"
import { config, type FetchStep, fetchOf, throughTime } from "../support/layers.ts"
import { macedWith, newSigningKey, type SigningKey, tokenOf, userToken } from "../support/tokens.ts"

const settings = { SUPABASE_URL: "https://abcdefgh.supabase.co", SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}' }
const first = newSigningKey("first")
const second = newSigningKey("second", "RS256")
const stranger = newSigningKey("stranger")

const claims = {
  iss: "https://abcdefgh.supabase.co/auth/v1",
  aud: "authenticated",
  sub: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  exp: 1_000_000,
  app_metadata: { role: "admin" }
}

const keySet = (...keys: ReadonlyArray<unknown>): FetchStep => ({ status: 200, body: JSON.stringify({ keys }) })

const fate = (headers: Readonly<Record<string, string>>) =>
  Access.use((access) => access.identify(new Headers(headers))).pipe(
    Effect.match({
      onSuccess: ({ kind }) => kind,
      onFailure: (error) => (error._tag === "CredentialsRejected" ? error.reason : error._tag)
    })
  )

const withToken = (token: string) => ({ authorization: `Bearer ${token}` })
const fateOf = (key: SigningKey, header = {}) => fate(withToken(userToken(key, claims, header)))

/** Lets an Auth that answers so, step by step, publish the keys; gives what was asked of it. */
const withAuth = <A, E>(
  steps: ReadonlyArray<FetchStep>,
  program: (calls: ReturnType<typeof fetchOf>["calls"]) => Effect.Effect<A, E, Access>
) => {
  const { calls, layer } = fetchOf(...steps)
  return program(calls).pipe(Effect.provide(AccessSupabase.layer), Effect.provide([layer, config(settings)]))
}

describe("the project's signing keys", () => {
  it.effect("are fetched from the project's Auth, without credentials or redirects", () =>
    withAuth([keySet(first.published)], (calls) =>
      Effect.gen(function* () {
        assert.lengthOf(calls, 0)
        assert.strictEqual(yield* fateOf(first), "admin")
        const [call] = calls
        assert.strictEqual(call?.url, "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json")
        assert.strictEqual(call?.redirect, "manual")
        assert.isFalse(call?.headers.has("authorization") || call?.headers.has("apikey"))
      })
    )
  )

  it.effect("are fetched once, however many tokens come at once", () =>
    withAuth([keySet(first.published, second.published)], (calls) =>
      Effect.gen(function* () {
        const keys = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? first : second))
        const fates = yield* Effect.forEach(keys, (key) => fateOf(key), { concurrency: "unbounded" })
        assert.deepStrictEqual([...new Set(fates)], ["admin"])
        assert.lengthOf(calls, 1)
      })
    )
  )

  it.effect("may be rotated: an unknown key triggers a fetch, half a minute after the last one", () =>
    withAuth([keySet(first.published), keySet(first.published, second.published)], (calls) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fateOf(first), "admin")
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(yield* fateOf(second), "signature")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* fateOf(second), "admin")
        assert.strictEqual(yield* fateOf(first), "admin")
        assert.lengthOf(calls, 2)
      })
    )
  )

  it.effect("are fetched every ten minutes, so that a withdrawn key stops counting", () =>
    withAuth([keySet(first.published, second.published), keySet(second.published)], (calls) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fateOf(first), "admin")
        yield* TestClock.adjust("599 seconds")
        assert.strictEqual(yield* fateOf(first), "admin")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* fateOf(first), "signature")
        assert.strictEqual(yield* fateOf(second), "admin")
        assert.lengthOf(calls, 2)
      })
    )
  )

  it.effect("are fetched at most twice a minute, however many tokens name unknown keys", () =>
    withAuth(
      Array.from({ length: 1_000 }, () => keySet(first.published)),
      (calls) =>
        Effect.gen(function* () {
          for (let second = 0; second < 300; second += 1) {
            const kids = [`${second}`, `${second}!`, `${second}?`]
            const fates = yield* Effect.forEach(kids, (kid) => fateOf(stranger, { kid }), { concurrency: 3 })
            assert.deepStrictEqual([...new Set(fates)], ["signature"])
            yield* TestClock.adjust("1 seconds")
          }
          assert.lengthOf(calls, 10)
        })
    )
  )

  it.effect("are not fetched for a token that names no key or has another algorithm", () =>
    withAuth([], (calls) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fate(withToken(tokenOf({ alg: "HS256" }, claims, macedWith("x")))), "signature")
        assert.strictEqual(yield* fateOf(first, { kid: "" }), "malformed")
        assert.strictEqual(yield* fateOf(first, { alg: "none" }), "malformed")
        assert.lengthOf(calls, 0)
      })
    )
  )
})

describe("when Auth does not return its keys", () => {
  const answers: ReadonlyArray<readonly [name: string, step: FetchStep, detail: string]> = [
    ["it is down", "no connection", "the connection failed"],
    ["it fails", { status: 500, body: "{}" }, "status 500"],
    ["there is nothing", { status: 404, body: "{}" }, "status 404"],
    ["it redirects", { status: 302, headers: { location: "https://evil.example.test/" } }, "status 302"],
    ["it answers nothing", { status: 200 }, "the answer is not a key set"],
    ["it answers HTML", { status: 200, body: "<html>" }, "the answer is not a key set"],
    ["it answers a list", { status: 200, body: JSON.stringify([first.published]) }, "the answer is not a key set"],
    ["its keys are no list", { status: 200, body: '{"keys":{}}' }, "the answer is not a key set"],
    ["its keys are no objects", { status: 200, body: '{"keys":["a"]}' }, "the answer is not a key set"],
    [
      "its answer is huge",
      { status: 200, body: `{"keys":[${" ".repeat(70_000)}]}` },
      "the key set is larger than 65536 bytes"
    ],
    ["it is too slow", "hangs", "no answer within 3000 ms"],
    ["its answer never ends", "hangs in the body", "no answer within 3000 ms"]
  ]

  it.effect.each(answers.map(([name, step, detail]) => ({ name, step, detail })))(
    "because $name, a token is not judged, and the next fetch is five seconds later",
    ({ detail, step }) =>
      withAuth([step, keySet(first.published)], (calls) =>
        Effect.gen(function* () {
          const identify = Access.use((access) => access.identify(new Headers(withToken(userToken(first, claims)))))
          const error = yield* throughTime(Effect.flip(identify))
          assert.deepInclude(error, { _tag: "KeysUnavailable", detail, retryAfterSeconds: 5 })
          yield* TestClock.adjust("4 seconds")
          assert.deepInclude(yield* Effect.flip(identify), { _tag: "KeysUnavailable", detail, retryAfterSeconds: 1 })
          assert.lengthOf(calls, 1)
          yield* TestClock.adjust("1 seconds")
          assert.strictEqual((yield* identify).kind, "admin")
          assert.lengthOf(calls, 2)
        })
      )
  )

  it.effect("many concurrent tokens wait for one timeout, not for one each", () =>
    withAuth(["hangs"], (calls) =>
      Effect.gen(function* () {
        const many = Effect.forEach(Array.from({ length: 20 }), () => fateOf(first), { concurrency: "unbounded" })
        assert.deepStrictEqual([...new Set(yield* throughTime(many))], ["KeysUnavailable"])
        assert.lengthOf(calls, 1)
        assert.isTrue(calls[0]?.signal.aborted)
      })
    )
  )

  it.effect("a slow answer ends at the timeout, even in an uninterruptible program", () =>
    withAuth(["hangs"], (calls) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* throughTime(Effect.uninterruptible(fateOf(first))), "KeysUnavailable")
        assert.isTrue(calls[0]?.signal.aborted)
      })
    )
  )

  it.effect("the known keys stay valid for an hour, and an unknown key is not judged", () =>
    withAuth([keySet(first.published)], () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fateOf(first), "admin")
        yield* TestClock.adjust("3599 seconds")
        assert.strictEqual(yield* fateOf(first), "admin")
        assert.strictEqual(yield* fateOf(second), "KeysUnavailable")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* fateOf(first), "KeysUnavailable")
      })
    )
  )

  it.effect("the project's secret key still counts", () =>
    withAuth([], (calls) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fate({ apikey: "sb_secret_1" }), "project")
        assert.lengthOf(calls, 0)
      })
    )
  )
})

describe("a published key that does not count", () => {
  const { kid: _, ...nameless } = first.published
  const curve = newSigningKey("first", "RS256").published
  const unusable: ReadonlyArray<readonly [name: string, key: unknown]> = [
    ["is for encryption", { ...first.published, use: "enc" }],
    ["is for another algorithm", { ...first.published, alg: "ES384" }],
    ["is not for verifying", { ...first.published, key_ops: ["sign"] }],
    ["is a private one", { ...first.privateKey.export({ format: "jwk" }), kid: "first", alg: "ES256", use: "sig" }],
    ["has no name", nameless],
    ["is a secret", { kty: "oct", kid: "first", alg: "ES256", k: "c2VjcmV0" }],
    ["is of another kind", curve],
    ["is no point of its curve", { ...first.published, x: first.published["y"] }],
    ["lacks half of its point", { ...first.published, y: undefined }]
  ]
  it.effect.each(unusable.map(([name, key]) => ({ name, key })))(
    "because it $name, does not affect the others",
    ({ key }) =>
      withAuth([keySet(key, second.published)], () =>
        Effect.gen(function* () {
          assert.include(["signature", "malformed"], yield* fateOf(first))
          assert.strictEqual(yield* fateOf(second), "admin")
        })
      )
  )

  it.effect("because two have its name, matches no token", () =>
    withAuth([keySet(first.published, { ...stranger.published, kid: "first" })], () =>
      Effect.gen(function* () {
        assert.include(["signature", "malformed"], yield* fateOf(first))
        assert.include(["signature", "malformed"], yield* fateOf(stranger, { kid: "first" }))
      })
    )
  )
})
