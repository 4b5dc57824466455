import { type Log } from "../local/log.ts"
import { type Stack, startStack } from "../local/stack.ts"
import type { Treatment } from "./calls.ts"
import { type Proxy, startProxy } from "./proxy.ts"
import type { Random } from "./random.ts"
import { rowsOf, type Session } from "./Session.ts"

/**
 * What is made quicker than by default, so that what is lost is sent again within seconds. As the waits are so much
 * shorter, more attempts are needed to outlast the same trouble.
 */
export const SETTINGS = {
  max_attempts: 40,
  lease_seconds: 2,
  acknowledge_timeout_seconds: 2,
  retry_base_seconds: 1,
  retry_cap_seconds: 2,
  request_timeout_ms: 3_000
} as const

const HANDLER_ENV = {
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
  readonly orchestratorTakesArrays: boolean
  readonly eventsPerRequest: number
  /** A secret that the handler accepts all the time. */
  readonly secret: string
  /** Makes Postgres sign with both secrets, then with the new one only. */
  readonly rotate: (session: Session, part: "both" | "new") => Promise<void>
  readonly configure: (session: Session) => Promise<void>
}

const setSecret = (session: Session, name: string, value: string) =>
  rowsOf(session, "select vault.update_secret(id, $2) from vault.secrets where name = $1", [name, value])

/** The whole stack, with a proxy in front of the handler and between it and all that it calls. */
export const startSystem = async (
  random: Random,
  treat: Treatment,
  handlerPrelude: () => string | undefined,
  log: Log
): Promise<System> => {
  await using started = new AsyncDisposableStack()
  const newSecret = (): string => `whsec_${random.bytes(SECRET_BYTES).toString("base64")}`
  const [oldest, newest] = [newSecret(), newSecret()]
  const orchestratorTakesArrays = random.chance(0.75)
  const eventsPerRequest = random.pick([10, 50, 50, 200])
  let target = ""
  const proxy = started.use(await startProxy({ target: () => target, treat }))
  const stack = started.use(
    await startStack({
      pacing: "fast",
      log,
      handlerPrelude,
      orchestratorUrl: `${proxy.url}/functions/v1/pause-notification-orchestrator`,
      functionEnv: {
        ...HANDLER_ENV,
        SUPABASE_URL: proxy.url,
        WEBHOOK_SECRETS: `${newest} ${oldest}`,
        ORCHESTRATOR_BATCH: String(orchestratorTakesArrays)
      }
    })
  )
  target = stack.apiUrl
  const kept = started.move()
  return {
    stack,
    proxy,
    orchestratorTakesArrays,
    eventsPerRequest,
    secret: newest,
    rotate: async (session, part) => {
      await setSecret(session, "outbox_webhook_secret", part === "both" ? `${newest} ${oldest}` : newest)
    },
    configure: async (session) => {
      await setSecret(session, "outbox_webhook_secret", oldest)
      const { pathname } = new URL(stack.functionUrl)
      await setSecret(session, "outbox_function_url", `${proxy.url}${pathname}`)
      const settings = Object.entries({ ...SETTINGS, events_per_request: eventsPerRequest })
      await rowsOf(
        session,
        `update outbox.settings set ${settings.map(([name, value]) => `${name} = ${value}`).join(", ")}`
      )
      await rowsOf(session, "select cron.schedule('outbox-sweep', '1 seconds', 'select outbox.sweep()')")
      await rowsOf(session, "select cron.schedule('outbox-reconcile', '3 seconds', 'select outbox.reconcile()')")
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
