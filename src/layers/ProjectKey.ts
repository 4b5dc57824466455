import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CredentialsRejected } from "../services/CredentialsRejected.ts"
import * as Config from "./Config.ts"
import * as Hmac from "./Hmac.ts"

/** The token of a bearer, whatever it is. */
export const bearerOf = (headers: { readonly get: (name: string) => string | null }): string | undefined =>
  /^Bearer +(\S.*)$/i.exec(headers.get("authorization") ?? "")?.[1]

/**
 * Lets in who has one of the project's secret keys, in `apikey` or as a bearer token.
 *
 * **Fails with** CredentialsRejected.
 */
export class ProjectKey extends Context.Service<
  ProjectKey,
  { readonly check: (headers: Pick<Headers, "get">) => Effect.Effect<void, CredentialsRejected> }
>()("pause-status-webhook-handler/layers/ProjectKey") {
  static readonly layer = Layer.effect(
    ProjectKey,
    Effect.gen(function* () {
      const matches = yield* Hmac.equalToAny(yield* Config.supabaseSecretKeys)
      return ProjectKey.of({
        check: Effect.fnUntraced(function* (headers) {
          const bearer = headers.get("authorization") === null ? null : (bearerOf(headers) ?? "")
          const given = [headers.get("apikey"), bearer].filter((key) => key !== null)
          for (const key of given) {
            if (yield* matches(key)) return
          }
          return yield* new CredentialsRejected({ reason: given.length === 0 ? "missing" : "unknown" })
        })
      })
    })
  )
}
