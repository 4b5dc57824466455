import { buildExample } from "../../local/examples.ts"
import type { Log } from "../../local/log.ts"
import { SEND_EMAIL, type StackFunction, startStack } from "../../local/stack.ts"
import { EXAMPLES, type Treatment } from "../calls.ts"
import { startProxy } from "../proxy.ts"
import type { Random } from "../random.ts"
import { HANDLER_ENV, hasten, setSecret, type System } from "../system.ts"

const SECRET_BYTES = 32

const EXAMPLE_ENV = { ...HANDLER_ENV, RESEND_TIMEOUT_MS: "1500" } as const

/** The stack with mail and the examples, with a proxy before every function and before everything that they call. */
export const startExamples = async (
  random: Random,
  treat: Treatment,
  prelude: () => string | undefined,
  log: Log
): Promise<System> => {
  await using started = new AsyncDisposableStack()
  const newSecret = (): string => `whsec_${random.bytes(SECRET_BYTES).toString("base64")}`
  const [oldest, newest] = [newSecret(), newSecret()]
  const orchestratorTakesArrays = random.chance(0.75)
  const eventsPerRequest = random.pick([10, 50, 50, 200])
  const built = await Promise.all(EXAMPLES.map(buildExample))
  let [apiUrl, resendUrl] = ["", ""]
  const target = (path: string): string => (path === "/emails" ? resendUrl : apiUrl)
  const proxy = started.use(await startProxy({ target, treat }))
  const env = {
    ...EXAMPLE_ENV,
    WEBHOOK_SECRETS: `${newest} ${oldest}`,
    SUPABASE_URL: proxy.url,
    RESEND_BASE_URL: proxy.url
  }
  const functions = built.flatMap((example) =>
    example.functions.map((one): StackFunction => ({ ...one, env, prelude }))
  )
  const stack = started.use(
    await startStack({
      pacing: "fast",
      log,
      handlerPrelude: prelude,
      orchestratorUrl: `${proxy.url}/functions/v1/pause-notification-orchestrator`,
      functionEnv: { ...env, ORCHESTRATOR_BATCH: String(orchestratorTakesArrays) },
      sendEmailEnv: env,
      resendRequestsPerSecond: 0,
      functions,
      migrations: built.flatMap(({ migrations }) => migrations)
    })
  )
  apiUrl = stack.apiUrl
  resendUrl = stack.resendUrl
  const urls = [
    { name: SEND_EMAIL, topic: "notification-mail", secret: "outbox_send_email_url" },
    ...EXAMPLES.map((name) => ({ name, topic: name, secret: `${name.replaceAll("-", "_")}_url` }))
  ]
  const kept = started.move()
  return {
    stack,
    proxy,
    services: { ...stack.services, ...Object.fromEntries(stack.functions) },
    orchestratorTakesArrays,
    eventsPerRequest,
    secret: newest,
    rotate: async (session, part) => {
      await setSecret(session, "outbox_webhook_secret", part === "both" ? `${newest} ${oldest}` : newest)
    },
    configure: async (session) => {
      await setSecret(session, "outbox_webhook_secret", oldest)
      await setSecret(session, "outbox_function_url", `${proxy.url}${new URL(stack.functionUrl).pathname}`)
      for (const { name, secret, topic } of urls) {
        await setSecret(session, secret, `${proxy.url}/functions/v1/${name}/api/v1/webhooks/${topic}`)
      }
      await hasten(session, eventsPerRequest)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
