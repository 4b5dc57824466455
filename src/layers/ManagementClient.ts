import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import { ManagementApi } from "../schema/Api.ts"
import { Problem } from "../schema/Replies.ts"

const isProblem = Schema.is(Problem)

/**
 * The problem in the error of a call, with headers beside it or without; none if nothing was answered that fits the
 * contract.
 */
export const problemOf = (error: unknown): Option.Option<Problem> => {
  const body = Predicate.hasProperty(error, "body") ? error.body : error
  return isProblem(body) ? Option.some(body) : Option.none()
}

/**
 * Where the function is, and who calls it.
 *
 * **Shape** `url` as Supabase serves it, `https://<ref>.supabase.co/functions/v1/pause-status-webhook-handler`; `apikey`
 * one of the project's secret keys, or its publishable key beside `token`, a user's token.
 */
export interface ClientOptions {
  readonly url: URL | string
  readonly apikey?: Redacted.Redacted
  readonly token?: Redacted.Redacted
}

/**
 * The management routes, typed by the contract. A call fails with what was answered; problemOf reads it.
 *
 * @example
 * const list = ManagementClient.use((client) => client.listEvents({ query: { status: "failed" } }))
 * Effect.provide(list, ManagementClient.layer({ url, apikey }).pipe(Layer.provide(FetchHttpClient.layer)))
 */
export class ManagementClient extends Context.Service<ManagementClient, HttpApiClient.ForApi<typeof ManagementApi>>()(
  "pause-status-webhook-handler/layers/ManagementClient"
) {
  static readonly layer = ({ apikey, token, url }: ClientOptions) =>
    Layer.effect(
      ManagementClient,
      HttpApiClient.make(ManagementApi, {
        baseUrl: url,
        transformClient: HttpClient.mapRequest((request) => {
          const known =
            apikey === undefined ? request : HttpClientRequest.setHeader(request, "apikey", Redacted.value(apikey))
          return token === undefined ? known : HttpClientRequest.bearerToken(known, token)
        })
      })
    )
}
