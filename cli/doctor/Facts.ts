import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Check as HealthCheck, QueueFigures } from "../../src/schema/Health.ts"
import type { QueryFailed } from "../Database.ts"
import { Sources, type Reply, type Unreachable } from "./Sources.ts"

const functionPath = "/functions/v1/pause-status-webhook-handler"

/** What public.outbox_health() returns. */
const Outbox = Schema.Struct({
  ...QueueFigures.fields,
  vault: Schema.Struct({ functionUrl: Schema.Boolean, webhookSecret: Schema.Boolean })
})
export type Outbox = typeof Outbox.Type

/** What the function's GET /health returns, ready or not. */
const Report = Schema.Struct({
  checks: Schema.Record(Schema.String, HealthCheck),
  queue: Schema.NullOr(QueueFigures)
})
export type Report = typeof Report.Type

/** Not our JSON, or no answer. **Shape** `reply` is what was answered instead. */
export type Asked<A> =
  | { readonly _tag: "Answered"; readonly value: A }
  | { readonly _tag: "Other"; readonly reply: Reply }
  | { readonly _tag: "Unreachable"; readonly detail: string }

const asked = <A>(schema: Schema.Decoder<A>, request: Effect.Effect<Reply, Unreachable>): Effect.Effect<Asked<A>> =>
  request.pipe(
    Effect.map((reply) =>
      Option.match(Schema.decodeUnknownOption(schema)(reply.body), {
        onNone: (): Asked<A> => ({ _tag: "Other", reply }),
        onSome: (value): Asked<A> => ({ _tag: "Answered", value })
      })
    ),
    Effect.catch(({ detail }) => Effect.succeed({ _tag: "Unreachable", detail } as const))
  )

const once = <A>(schema: Schema.Decoder<A>, request: Option.Option<Effect.Effect<Reply, Unreachable>>) =>
  Effect.cached(Effect.transposeOption(Option.map(request, (reply) => asked(schema, reply))))

const Version = Schema.Struct({ info: Schema.Struct({ version: Schema.String }) })
const HealthRow = Schema.Struct({ health: Outbox })

/** What several checks need, read once. None if its source was not given. */
export class Facts extends Context.Service<
  Facts,
  {
    /** The outbox through the Data API, as the project's functions reach it. */
    readonly dataApi: Effect.Effect<Option.Option<Asked<Outbox>>>
    /** The outbox, from the database or else through the Data API. */
    readonly outbox: Effect.Effect<Option.Option<Outbox>, QueryFailed>
    readonly report: Effect.Effect<Option.Option<Asked<Report>>>
    readonly functionVersion: Effect.Effect<Option.Option<Asked<string>>>
  }
>()("pause-status-webhook-handler/cli/doctor/Facts") {
  static readonly layer = Layer.effect(
    Facts,
    Effect.gen(function* () {
      const { ask, database, project } = yield* Sources
      const get = (path: string) =>
        Option.map(project, ({ key, url }) => ask({ method: "GET", url: `${url}${path}`, headers: { apikey: key } }))

      const dataApi = yield* once(
        Outbox,
        Option.map(project, ({ key, url }) =>
          ask({
            method: "POST",
            url: `${url}/rest/v1/rpc/outbox_health`,
            headers: { apikey: key, "content-profile": "public" },
            body: "{}"
          })
        )
      )
      const fromDatabase = Option.map(database, ({ read }) =>
        read(HealthRow, "select public.outbox_health() as health").pipe(
          Effect.map(([row]) => Option.map(Option.fromNullishOr(row), ({ health }) => health))
        )
      )
      const fromDataApi = Effect.map(
        dataApi,
        Option.flatMap((answer) => (answer._tag === "Answered" ? Option.some(answer.value) : Option.none()))
      )
      return {
        dataApi,
        outbox: yield* Effect.cached(Option.getOrElse(fromDatabase, () => fromDataApi)),
        report: yield* once(Report, get(`${functionPath}/health`)),
        functionVersion: Effect.map(
          yield* once(Version, get(`${functionPath}/openapi.json`)),
          Option.map((answer) =>
            answer._tag === "Answered" ? { _tag: "Answered", value: answer.value.info.version } : answer
          )
        )
      }
    })
  )
}
