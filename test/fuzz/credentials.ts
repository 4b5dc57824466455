import { createHmac } from "node:crypto"
import type { Random } from "../../chaos/random.ts"
import type { World } from "./Input.ts"
import type { Headers } from "./signatures.ts"

/** Headers that say who calls, and what the caller may do. */
export interface Credentials {
  readonly kind: string
  readonly headers: Headers
  readonly may: "everything" | "look" | "nothing" | "nobody knows"
}

const HOUR = 3_600
const now = (): number => Math.floor(Date.now() / 1_000)

const part = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")

interface Token {
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims: unknown
  readonly secret: string
  readonly hash?: string
}

const tokenOf = ({ claims, hash = "sha256", header = {}, secret }: Token): string => {
  const signed = `${part({ alg: "HS256", typ: "JWT", ...header })}.${part(claims)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest("base64url")}`
}

const bearer = (token: string): Headers => [["authorization", `Bearer ${token}`]]

// A claim that is undefined is left out of the token; wrapped, because it is a value to pick as well.
const anyOf = (random: Random, ...values: ReadonlyArray<unknown>): unknown =>
  random.pick(values.map((value) => ({ value }))).value

const claimsOf = (random: Random, { jwt }: World, role: unknown) => ({
  iss: jwt.issuer,
  aud: "authenticated",
  sub: random.uuid(),
  iat: now(),
  exp: now() + HOUR,
  role: "authenticated",
  app_metadata: { role },
  user_metadata: { role: "admin" }
})

const good = (random: Random, world: World): Credentials => {
  const { jwt, publishableKey, serviceKey } = world
  const userToken = (role: string) => tokenOf({ claims: claimsOf(random, world, role), secret: jwt.secret })
  return random.pick<() => Credentials>([
    () => ({ kind: "secret key", headers: [["apikey", serviceKey]], may: "everything" }),
    () => ({ kind: "secret key", headers: bearer(serviceKey), may: "everything" }),
    () => ({ kind: "admin", headers: bearer(userToken("admin")), may: "everything" }),
    () => ({
      kind: "admin",
      headers: [["apikey", publishableKey], ...bearer(userToken("admin"))],
      may: "everything"
    }),
    () => ({ kind: "coordinator", headers: bearer(userToken("coordinator")), may: "look" })
  ])()
}

const bad = (random: Random, world: World): Credentials => {
  const { jwt, publishableKey, serviceKey } = world
  const claims = claimsOf(random, world, "admin")
  const valid = tokenOf({ claims, secret: jwt.secret })
  const [head = "", body = "", mac = ""] = valid.split(".")
  const rejected = (kind: string, headers: Headers): Credentials => ({ kind, headers, may: "nobody knows" })
  const forged = (kind: string, token: Partial<Token>) =>
    rejected(kind, bearer(tokenOf({ claims, secret: jwt.secret, ...token })))
  return random.pick<() => Credentials>([
    () => rejected("no credentials", []),
    () =>
      rejected("another key", [
        ["apikey", random.pick([publishableKey, "", serviceKey.slice(0, -1), `${serviceKey}x`])]
      ]),
    () =>
      rejected(
        "another bearer",
        bearer(random.pick([publishableKey, "x", "..", "a.b.c", "e30.e30.", serviceKey.slice(1)]))
      ),
    () =>
      rejected("another scheme", [
        [
          "authorization",
          random.pick(["Bearer", "", `Basic ${serviceKey}`, serviceKey, `Token ${valid}`, `Bearer,${valid}`])
        ]
      ]),
    () => forged("another secret", { secret: random.pick(["", "secret", publishableKey, world.secret]) }),
    () =>
      forged("another algorithm", {
        header: { alg: random.pick(["none", "None", "HS512", "hs256", "", "PS256", null, 5]) }
      }),
    () => rejected("unsigned", bearer(`${part({ alg: random.pick(["none", "HS256"]) })}.${body}.`)),
    () => forged("another hash", { header: { alg: "HS384" }, hash: "sha384" }),
    () => forged("critical header", { header: { crit: ["exp"] } }),
    () =>
      forged("its own key", {
        header: { jku: "http://127.0.0.1:9/", jwk: { kty: "oct", k: "AAAA" }, kid: "../../x" },
        secret: "x"
      }),
    () => forged("expired", { claims: { ...claims, exp: now() - HOUR } }),
    () => forged("not yet valid", { claims: { ...claims, nbf: now() + HOUR } }),
    () =>
      forged("never expires", { claims: { ...claims, exp: anyOf(random, undefined, null, "never", "9999999999") } }),
    () =>
      forged("another issuer", {
        claims: { ...claims, iss: anyOf(random, undefined, "", "supabase", `${jwt.issuer}/`) }
      }),
    () => forged("another audience", { claims: { ...claims, aud: anyOf(random, undefined, "anon", [], ["x"], {}) } }),
    () =>
      forged("no user", { claims: { ...claims, sub: anyOf(random, undefined, "", "1", null, ["x"], "' or 1=1--") } }),
    () => forged("no claims", { claims: anyOf(random, null, [], "x", 5, {}) }),
    () => rejected("mixed", bearer(`${head}.${part({ ...claims, sub: random.uuid(), iat: 1 })}.${mac}`)),
    () => rejected("cut", bearer(valid.slice(0, random.int(1, valid.length - 1)))),
    () => rejected("long", bearer(`${head}.${part({ ...claims, pad: "x".repeat(9_000) })}.${mac}`)),
    () => rejected("five parts", bearer(`${valid}.${mac}.${mac}`)),
    () => rejected("twice", [...bearer(valid), ["authorization", `Bearer ${valid}`]])
  ])()
}

const roleless = (random: Random, world: World): Credentials => {
  const role = anyOf(random, undefined, null, "", "Admin", ["admin"], { admin: true }, "service_role", "__proto__")
  const claims = claimsOf(random, world, role)
  return { kind: "no role", headers: bearer(tokenOf({ claims, secret: world.jwt.secret })), may: "nothing" }
}

/** Anybody: half of them let in. */
export const anyCredentials = (random: Random, world: World): Credentials =>
  ({ good, bad, roleless })[random.weighted({ good: 60, bad: 35, roleless: 5 })](random, world)
