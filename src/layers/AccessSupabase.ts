import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Access } from "../services/Access.ts"
import type { CredentialsRejected } from "../services/CredentialsRejected.ts"
import * as Config from "./Config.ts"
import * as Hmac from "./Hmac.ts"
import { bearerOf, ProjectKey } from "./ProjectKey.ts"
import * as UserToken from "./UserToken.ts"

// A bearer token that is no user's token may be a secret key of the new kind.
const newKey = /^sb_/

const isHealthToken = Effect.flatMap(Config.healthToken, (token) => Hmac.equalToAny(Option.toArray(token)))
const isMetricsToken = Effect.flatMap(Config.metricsToken, (token) => Hmac.equalToAny(Option.toArray(token)))

/**
 * Knows the project's secret keys, the tokens of monitors and, by the project's signing keys, its users. supabase-js sends the publishable key
 * in `apikey` and the user's token as bearer: the key says nothing, the token counts.
 */
export const layer = Layer.effect(
  Access,
  Effect.gen(function* () {
    const projectKey = yield* ProjectKey
    const isForHealth = yield* isHealthToken
    const isForMetrics = yield* isMetricsToken
    const identifyUser = yield* UserToken.make

    const identifyBearer = Effect.fnUntraced(function* (token: string, rejected: CredentialsRejected) {
      if (yield* isForHealth(token)) return { kind: "monitor", may: "getHealth" } as const
      if (yield* isForMetrics(token)) return { kind: "monitor", may: "getMetrics" } as const
      return yield* newKey.test(token) ? Effect.fail(rejected) : identifyUser(token)
    })

    return Access.of({
      identify: Effect.fn("Access.identify")((headers) => {
        const token = bearerOf(headers)
        return Effect.matchEffect(projectKey.check(headers), {
          onSuccess: () => Effect.succeed({ kind: "project" as const }),
          onFailure: (rejected: CredentialsRejected) =>
            token === undefined ? Effect.fail(rejected) : identifyBearer(token, rejected)
        })
      })
    })
  })
).pipe(Layer.provide(ProjectKey.layer))
