import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { rowsOf } from "./Check.ts"
import { QueryFailed } from "../Database.ts"
import { type Ask, Sources } from "./Sources.ts"

/** Older than any tolerance. If the function knows the secret, it answers how old the signature is. */
const hoursOld = 48
const secondsOld = hoursOld * 3600

// Postgres signs, so the secret stays in Vault.
const signed = (topic: string, body: string, age: number) => `
  select a.function_url as url, p.id, p.seconds::text as seconds, b.body,
    outbox.sign(p.id, p.seconds, b.body, a.secrets) as signature
  from outbox.handler_address('${topic}') a,
    (select gen_random_uuid()::text as id, extract(epoch from clock_timestamp())::bigint - ${age} as seconds) p,
    (select ${body} as body) b`

// Nothing has changed, so the function verifies it, answers no_change and does nothing.
const noChange = `(
  select jsonb_build_object(
    'topic', t.topic, 'type', 'INSERT', 'schema', n[1], 'table', n[2], 'event_id', gen_random_uuid(), 'version', 1,
    'timestamp', outbox.iso(clock_timestamp()), 'record', jsonb_build_object('id', gen_random_uuid(), 'status', 'active'),
    'old_record', null
  )::text
  from outbox.topics t, parse_ident(t.relation) n where t.topic = 'pause-status'
)`

// Other topics' payloads are unknown here. A function that refuses this payload has accepted the signature.
const noPayload = "'{}'"

const Signed = Schema.Struct({
  url: Schema.String,
  id: Schema.String,
  seconds: Schema.String,
  body: Schema.String,
  signature: Schema.String
})

const requestOf = ({ body, id, seconds, signature, url }: typeof Signed.Type): Ask => ({
  method: "POST",
  url,
  headers: {
    "webhook-id": id,
    "webhook-timestamp": seconds,
    "webhook-signature": signature
  },
  body
})

/** The part of our replies that is read here. */
const Ours = Schema.Struct({
  status: Schema.optionalKey(Schema.Unknown),
  code: Schema.optionalKey(Schema.Unknown),
  skewSeconds: Schema.optionalKey(Schema.Int)
})

/** The answer to a signed delivery that changes nothing. */
export type Answer =
  | { readonly _tag: "NoAddress"; readonly problem: string }
  | { readonly _tag: "Unreachable"; readonly url: string; readonly detail: string }
  | { readonly _tag: "Replied"; readonly url: string; readonly status: number; readonly word: string }

/** The result of a topic's probe. **Units** `skewSeconds` the function's clock minus the database's, if known. */
export interface Probed {
  readonly topic: string
  readonly answer: Answer
  readonly skewSeconds: Option.Option<number>
}

const wordOf = (body: unknown): typeof Ours.Type => Option.getOrElse(Schema.decodeUnknownOption(Ours)(body), () => ({}))

/** Signed deliveries that change nothing, one per topic, posted as Postgres would post them. */
export class Probe extends Context.Service<
  Probe,
  { readonly answers: Effect.Effect<Option.Option<ReadonlyArray<Probed>>, QueryFailed> }
>()("pause-status-webhook-handler/cli/doctor/Probe") {
  static readonly layer = Layer.effect(
    Probe,
    Effect.gen(function* () {
      const sources = yield* Sources
      const post = Effect.fnUntraced(function* (topic: string, body: string, age: number) {
        const rows = yield* rowsOf(Signed, signed(topic, body, age))
        const [delivery] = Option.getOrElse(rows, () => [])
        if (delivery === undefined) return yield* new QueryFailed({ code: "", message: `${topic} cannot be signed` })
        const { url } = delivery
        return yield* sources.ask(requestOf(delivery)).pipe(
          Effect.map(({ body: replied, status }) => {
            const { code, skewSeconds, status: word } = wordOf(replied)
            return { answer: { _tag: "Replied", url, status, word: String(code ?? word ?? "") } as const, skewSeconds }
          }),
          Effect.catch(({ detail }) =>
            Effect.succeed({ answer: { _tag: "Unreachable", url, detail } as const, skewSeconds: undefined })
          )
        )
      })
      const probe = Effect.fnUntraced(function* (topic: string): Effect.fn.Return<Probed, never, Sources> {
        const body = topic === "pause-status" ? noChange : noPayload
        const now = yield* Effect.result(post(topic, body, 0))
        if (now._tag === "Failure") {
          return { topic, answer: { _tag: "NoAddress", problem: now.failure.message }, skewSeconds: Option.none() }
        }
        const old = yield* Effect.option(post(topic, body, secondsOld))
        const skew = Option.flatMapNullishOr(old, ({ skewSeconds }) => skewSeconds)
        return {
          topic,
          answer: now.success.answer,
          skewSeconds: Option.map(skew, (seconds) => seconds - secondsOld)
        }
      })
      const probeAll = Effect.gen(function* () {
        const topics = yield* rowsOf(
          Schema.Struct({ topic: Schema.String }),
          "select t.topic from outbox.topics t where t.fed_by = 'outbox' order by 1"
        )
        return yield* Effect.transposeOption(
          Option.map(topics, (rows) => Effect.forEach(rows, ({ topic }) => probe(topic)))
        )
      })
      return { answers: yield* Effect.cached(Effect.provideService(probeAll, Sources, sources)) }
    })
  )
}
