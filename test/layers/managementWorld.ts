import { Effect, Layer, Logger } from "effect"
import * as AccessSupabase from "../../src/layers/AccessSupabase.ts"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { Fetch } from "../../src/layers/Fetch.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import { ManagementHttp } from "../../src/layers/ManagementHttp.ts"
import * as WebHandler from "../../src/layers/WebHandler.ts"
import type { Check } from "../../src/schema/Health.ts"
import type { Access } from "../../src/services/Access.ts"
import type { EventStore } from "../../src/services/EventStore.ts"
import { ManagedTopics, plain } from "../../src/services/ManagedTopics.ts"
import { Surroundings } from "../../src/services/Surroundings.ts"
import { notificationMailEvents } from "../../src/topics/NotificationMailEvents.ts"
import { pauseStatusEvents } from "../../src/topics/PauseStatusEvents.ts"
import { config } from "../support/layers.ts"
import { newSigningKey, userToken } from "../support/tokens.ts"

export const base = "/api/v1/webhooks/pause-status"
const mounted = "http://localhost/pause-status-webhook-handler"
const issuer = "https://abcdefgh.supabase.co"
const signingKey = newSigningKey("now")

const tokenOf = (sub: string, role: string | undefined, lifetimeSeconds: number): string =>
  userToken(signingKey, {
    iss: `${issuer}/auth/v1`,
    aud: "authenticated",
    sub,
    exp: Math.floor(Date.now() / 1000) + lifetimeSeconds,
    app_metadata: { role }
  })

export const healthToken = "health-token-0123456789"
export const metricsToken = "metrics-token-0123456789"

export type Headers = Readonly<Record<string, string>>

export const secretKey: Headers = { apikey: "sb_secret_1" }
export const legacyKey: Headers = { authorization: "Bearer legacy.service.role" }

/** The headers of a user whose token is valid for so long. */
export const user = (sub: string, role?: string, lifetimeSeconds = 3_600): Headers => ({
  apikey: "sb_publishable_1",
  authorization: `Bearer ${tokenOf(sub, role, lifetimeSeconds)}`
})

interface Parts {
  readonly store?: Layer.Layer<EventStore>
  readonly access?: Layer.Layer<Access>
  readonly orchestrator?: Check
  readonly secrets?: Check
  readonly settings?: Check
}

/** The management routes, but for the database and the orchestrator, which are in memory. */
export const managementWorld = ({
  access,
  orchestrator = { ok: true },
  secrets = { ok: true },
  settings: topic = { ok: true },
  store
}: Parts = {}) => {
  const memory = EventStoreMemory.make("pause-status", "order-created")
  const lines: Array<unknown> = []
  const logger = Logger.make(({ message }) => void lines.push(...[message].flat()))
  const settings = config({
    SUPABASE_URL: issuer,
    SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}',
    SUPABASE_SERVICE_ROLE_KEY: "legacy.service.role",
    HEALTH_TOKEN: healthToken,
    METRICS_TOKEN: metricsToken
  })
  const keySet = Layer.succeed(Fetch, () => Promise.resolve(Response.json({ keys: [signingKey.published] })))
  const services = Layer.mergeAll(
    access ?? AccessSupabase.layer,
    store ?? memory.layer,
    Layer.succeed(ManagedTopics, [pauseStatusEvents, plain("order-created"), notificationMailEvents]),
    Layer.succeed(Surroundings, {
      orchestrator: Effect.succeed(orchestrator),
      secrets,
      topics: { "notification-mail": topic }
    }),
    HttpLimits.layer
  ).pipe(Layer.provide([settings, keySet]))
  const handler = WebHandler.make(
    Layer.merge(Layer.provide(ManagementHttp.layer, services), Logger.layer([logger])),
    (request) => ManagementHttp.use(({ respond }) => respond(request))
  )
  const ask = (method: string, path: string, headers: Headers = secretKey, body?: string): Promise<Response> =>
    handler(
      new Request(mounted + path, {
        method,
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && { body })
      })
    )
  return { ask, handler, lines, state: memory.state }
}
