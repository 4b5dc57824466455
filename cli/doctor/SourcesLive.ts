import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Database } from "../Database.ts"
import { Release } from "../Release.ts"
import { type Ask, type Project, Sources, Unreachable } from "./Sources.ts"

/** Where the project is. At least one of the two is given. */
export interface Options {
  readonly databaseUrl: Option.Option<Redacted.Redacted<string>>
  readonly project: Option.Option<Project>
}

const parsed = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const within = "10 seconds"

// fetch gives the reason only in its error's cause.
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const inner = cause instanceof AggregateError ? cause.errors[0] : cause.cause
  return inner instanceof Error ? reasonOf(inner) : cause.message
}

const requestOf = ({ body, headers, method, url }: Ask) => {
  const request = HttpClientRequest.make(method)(url)
  const withBody = body === undefined ? request : HttpClientRequest.bodyText(request, body, "application/json")
  return HttpClientRequest.setHeaders(withBody, headers)
}

const asking = (client: HttpClient.HttpClient) => (request: Ask) =>
  client.execute(requestOf(request)).pipe(
    Effect.flatMap((response) => Effect.map(response.text, (text) => ({ status: response.status, text }))),
    Effect.mapError((cause) => new Unreachable({ detail: reasonOf(cause) })),
    Effect.timeoutOrElse({
      duration: within,
      orElse: () => Effect.fail(new Unreachable({ detail: `no answer within ${within}` }))
    }),
    Effect.map(({ status, text }) => ({ status, body: Option.getOrUndefined(parsed(text)) }))
  )

/**
 * The project itself.
 *
 * **Fails with** Failure if there is no connection to the database.
 */
export const layer = ({ databaseUrl, project }: Options) =>
  Layer.effect(
    Sources,
    Effect.gen(function* () {
      const opened = Option.map(databaseUrl, (url) => Layer.build(Database.layer(url)))
      return {
        database: Option.map(yield* Effect.transposeOption(opened), Context.get(Database)),
        project,
        ask: asking(yield* HttpClient.HttpClient),
        migrations: (yield* Release).migrations
      }
    })
  ).pipe(
    Layer.provide([
      Release.layer,
      Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
    ])
  )
