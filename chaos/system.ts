import type { EdgeFunction } from "../local/functions.ts"
import { type Log } from "../local/log.ts"
import { LOOPBACK } from "../local/ports.ts"
import { type Service, type Stack, startStack } from "../local/stack.ts"
import { ORDER_STAGE_PATH, type Treatment } from "./calls.ts"
import { startOrderStage } from "./orders.ts"
import { type Proxy, startProxy } from "./proxy.ts"
import type { Random } from "./random.ts"
import { rowsOf, type Session } from "./Session.ts"

/**
 * Shorter waits than the defaults, so that lost events are sent again within seconds. With shorter waits, more attempts
 * are needed to outlast the same faults.
 */
export const SETTINGS = {
  max_attempts: 40,
  lease_seconds: 2,
  acknowledge_timeout_seconds: 2,
  retry_base_seconds: 1,
  retry_cap_seconds: 2,
  request_timeout_ms: 3_000
} as const

export const HANDLER_ENV = {
  ORCHESTRATOR_TIMEOUT_MS: "800",
  ORCHESTRATOR_BUDGET_MS: "1500",
  ORCHESTRATOR_RETRIES: "1",
  STORE_TIMEOUT_MS: "1200",
  CIRCUIT_OPEN_MS: "500",
  LOG_LEVEL: "Error"
} as const

const SECRET_BYTES = 32

export interface System extends AsyncDisposable {
  readonly stack: Stack
  readonly proxy: Proxy
  /** The services of the stack, and the handlers of other topics. */
  readonly services: Stack["services"] & Readonly<Record<string, Service>>
  readonly orchestratorTakesArrays: boolean
  readonly eventsPerRequest: number
  /** A secret that the handler always accepts. */
  readonly secret: string
  /** Makes Postgres sign with both secrets, or with only the new one. */
  readonly rotate: (session: Session, part: "both" | "new") => Promise<void>
  readonly configure: (session: Session) => Promise<void>
}

const setSecret = (session: Session, name: string, value: string) =>
  rowsOf(session, "select vault.update_secret(id, $2) from vault.secrets where name = $1", [name, value])

/** Shortens the waits of the outbox. */
const hasten = async (session: Session, eventsPerRequest: number): Promise<void> => {
  const settings = Object.entries({ ...SETTINGS, events_per_request: eventsPerRequest })
  await rowsOf(
    session,
    `update outbox.settings set ${settings.map(([name, value]) => `${name} = ${value}`).join(", ")}`
  )
  await rowsOf(session, "select cron.schedule('outbox-sweep', '1 seconds', 'select outbox.sweep()')")
  await rowsOf(session, "select cron.schedule('outbox-reconcile', '3 seconds', 'select outbox.reconcile()')")
}

/** What the seed decides of a system. */
export const drawSystem = (random: Random) => {
  const newSecret = (): string => `whsec_${random.bytes(SECRET_BYTES).toString("base64")}`
  const [oldest, newest] = [newSecret(), newSecret()]
  return {
    oldest,
    newest,
    /** For the functions, which accept both all the time. */
    webhookSecrets: `${newest} ${oldest}`,
    orchestratorTakesArrays: random.chance(0.75),
    eventsPerRequest: random.pick([10, 50, 50, 200])
  }
}

/** How a run operates a system. `urls` are the functions' addresses, by the Vault secrets that name them. */
export const operate = (
  { eventsPerRequest, newest, oldest, orchestratorTakesArrays, webhookSecrets }: ReturnType<typeof drawSystem>,
  stack: Stack,
  proxy: Proxy,
  urls: Readonly<Record<string, string>> = {}
): Omit<System, "services" | typeof Symbol.asyncDispose> => ({
  stack,
  proxy,
  orchestratorTakesArrays,
  eventsPerRequest,
  secret: newest,
  rotate: async (session, part) => {
    await setSecret(session, "outbox_webhook_secret", part === "both" ? webhookSecrets : newest)
  },
  configure: async (session) => {
    await setSecret(session, "outbox_webhook_secret", oldest)
    await setSecret(session, "outbox_function_url", `${proxy.url}${new URL(stack.functionUrl).pathname}`)
    for (const [name, url] of Object.entries(urls)) await setSecret(session, name, url)
    await hasten(session, eventsPerRequest)
  }
})

/** The whole stack, with a proxy before both handlers and before everything that they call. */
export const startSystem = async (
  random: Random,
  treat: Treatment,
  prelude: () => string | undefined,
  log: Log
): Promise<System & { readonly orderStageUrl: string }> => {
  await using started = new AsyncDisposableStack()
  const drawn = drawSystem(random)
  const handlerEnv = { ...HANDLER_ENV, WEBHOOK_SECRETS: drawn.webhookSecrets }
  let apiUrl = ""
  let orderStage: (EdgeFunction & AsyncDisposable) | undefined
  const target = (path: string): string => {
    if (path !== ORDER_STAGE_PATH) return apiUrl
    const upstream = orderStage?.upstream()
    if (upstream !== undefined && "port" in upstream) return `http://${LOOPBACK}:${upstream.port}`
    throw new Error("the handler of order-stage is not running")
  }
  const proxy = started.use(await startProxy({ target, treat }))
  const stack = started.use(
    await startStack({
      pacing: "fast",
      log,
      handlerPrelude: prelude,
      orchestratorUrl: `${proxy.url}/functions/v1/pause-notification-orchestrator`,
      functionEnv: {
        ...handlerEnv,
        SUPABASE_URL: proxy.url,
        ORCHESTRATOR_BATCH: String(drawn.orchestratorTakesArrays)
      }
    })
  )
  apiUrl = stack.apiUrl
  orderStage = started.use(
    await startOrderStage({
      log,
      prelude,
      env: {
        ...handlerEnv,
        SUPABASE_URL: proxy.url,
        SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.serviceKey })
      }
    })
  )
  const kept = started.move()
  return {
    ...operate(drawn, stack, proxy),
    services: { ...stack.services, "order-stage": orderStage.service },
    orderStageUrl: `${proxy.url}${ORDER_STAGE_PATH}`,
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
