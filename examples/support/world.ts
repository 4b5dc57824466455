import { buildExample } from "../../local/examples.ts"
import { type Service, type Stack, startStack } from "../../local/stack.ts"
import { signedHeaders } from "../../test/support/deliveries.ts"
import { patientEnv, unhurried } from "../../test/support/patience.ts"
import { bytesOf } from "../../test/support/payloads.ts"
import { type Database, eventually, makeQuick, openDatabase } from "../../test/support/pipeline.ts"
import { type Proxy, startProxy } from "../../test/support/proxy.ts"

/** An event of the example's topic, as stored in the outbox. */
interface Event {
  readonly event_id: string
  readonly key: string
  readonly status: string
  readonly claims: number
  readonly last_error: string | null
  readonly receipt: Readonly<Record<string, unknown>> | null
}

/** The whole stack with one example. Its functions reach the database through a proxy. */
export interface World extends AsyncDisposable {
  readonly stack: Stack
  readonly database: Database
  readonly proxy: Proxy
  /** The proxy of the mail service. */
  readonly mailProxy: Proxy
  /** The Edge Function of that name; the example's own by default. */
  readonly service: (name?: string) => Service
  readonly events: (key?: string) => Promise<ReadonlyArray<Event>>
  /** Waits until a key's events, or all events, are completed or dead. */
  readonly settled: (key?: string) => Promise<ReadonlyArray<Event>>
  /** Delivers an event by hand, signed as the outbox signs it. */
  readonly deliver: (eventId: string) => Promise<Response>
}

const EVENTS = `
  select event_id, key, status, claim_token::int as claims, last_error, receipt
  from outbox.events where topic = $1 and key = coalesce($2, key) order by created_at, key, version`

const isSettled = ({ status }: Event): boolean => status === "completed" || status === "failed"

export const startExample = async (topic: string, env: Readonly<Record<string, string>> = {}): Promise<World> => {
  await using started = new AsyncDisposableStack()
  const proxy = started.use(await startProxy())
  const mailProxy = started.use(await startProxy())
  const { functions, migrations } = await buildExample(topic)
  const ownEnv = { ...patientEnv, SUPABASE_URL: proxy.url, RESEND_BASE_URL: mailProxy.url }
  const stack = started.use(
    await startStack({
      pacing: "fast",
      resendRequestsPerSecond: 0,
      migrations,
      functions: functions.map((one) => Object.assign(one, { env: { ...ownEnv, ...env } }))
    })
  )
  proxy.target = stack.apiUrl
  mailProxy.target = stack.resendUrl
  await unhurried(stack.databaseUrl)
  const database = started.use(openDatabase(stack.databaseUrl))
  await makeQuick(database)

  const events: World["events"] = (key) => database.rows<Event>(EVENTS, [topic, key ?? null])
  const url = `${stack.apiUrl}/functions/v1/${topic}/api/v1/webhooks/${topic}`
  const kept = started.move()
  return {
    stack,
    database,
    proxy,
    mailProxy,
    service: (name = topic) => {
      const found = stack.functions.get(name)
      if (found === undefined) throw new Error(`there is no function ${name}`)
      return found
    },
    events,
    settled: (key) =>
      eventually("all events settled", async () => {
        const found = await events(key)
        if (found.length > 0 && found.every(isSettled)) return found
        throw new Error(JSON.stringify(found))
      }),
    deliver: async (eventId) => {
      const [row] = await database.rows<{ body: unknown }>(
        "select outbox.body(q) as body from outbox.events q where q.event_id = $1",
        [eventId]
      )
      const body = bytesOf(row?.body)
      return fetch(url, {
        method: "POST",
        body,
        headers: signedHeaders(body, { secret: stack.webhookSecret, id: eventId })
      })
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
