import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Access, type CredentialsRejected } from "../services/Access.ts"
import { bearerOf, ProjectKey } from "./ProjectKey.ts"
import * as UserToken from "./UserToken.ts"

// What else a bearer token may be that is no user's: a key of the new kind, the project's or somebody's.
const newKey = /^sb_/

/**
 * Knows the project's secret keys and, by the project's signing keys, its users. supabase-js sends the publishable key
 * in `apikey` and the user's token as bearer: the key says nothing, the token counts.
 */
export const layer = Layer.effect(
  Access,
  Effect.gen(function* () {
    const projectKey = yield* ProjectKey
    const identifyUser = yield* UserToken.make
    return Access.of({
      identify: Effect.fn("Access.identify")((headers) => {
        const token = bearerOf(headers)
        return Effect.matchEffect(projectKey.check(headers), {
          onSuccess: () => Effect.succeed({ kind: "project" as const }),
          onFailure: (rejected: CredentialsRejected) =>
            token === undefined || newKey.test(token) ? Effect.fail(rejected) : identifyUser(token)
        })
      })
    })
  })
).pipe(Layer.provide(ProjectKey.layer))
