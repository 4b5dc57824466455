import { buildExample } from "../../local/examples.ts"
import type { Log } from "../../local/log.ts"
import { SEND_EMAIL, type StackFunction, startStack } from "../../local/stack.ts"
import { EXAMPLES, type Treatment } from "../calls.ts"
import { startProxy } from "../proxy.ts"
import type { Random } from "../random.ts"
import { drawSystem, HANDLER_ENV, operate, type System } from "../system.ts"

const EXAMPLE_ENV = { ...HANDLER_ENV, RESEND_TIMEOUT_MS: "1500" } as const

/** The stack with mail and the examples, with a proxy before every function and before everything that they call. */
export const startExamples = async (
  random: Random,
  treat: Treatment,
  prelude: () => string | undefined,
  log: Log
): Promise<System> => {
  await using started = new AsyncDisposableStack()
  const drawn = drawSystem(random)
  const built = await Promise.all(EXAMPLES.map(buildExample))
  let [apiUrl, resendUrl] = ["", ""]
  const target = (path: string): string => (path === "/emails" ? resendUrl : apiUrl)
  const proxy = started.use(await startProxy({ target, treat }))
  const env = {
    ...EXAMPLE_ENV,
    WEBHOOK_SECRETS: drawn.webhookSecrets,
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
      functionEnv: { ...env, ORCHESTRATOR_BATCH: String(drawn.orchestratorTakesArrays) },
      sendEmailEnv: env,
      resendRequestsPerSecond: 0,
      functions,
      migrations: built.flatMap(({ migrations }) => migrations)
    })
  )
  apiUrl = stack.apiUrl
  resendUrl = stack.resendUrl
  const urlOf = (name: string, topic: string): string => `${proxy.url}/functions/v1/${name}/api/v1/webhooks/${topic}`
  const urls = {
    outbox_send_email_url: urlOf(SEND_EMAIL, "notification-mail"),
    ...Object.fromEntries(EXAMPLES.map((name) => [`${name.replaceAll("-", "_")}_url`, urlOf(name, name)]))
  }
  const kept = started.move()
  return {
    ...operate(drawn, stack, proxy, urls),
    services: { ...stack.services, ...Object.fromEntries(stack.functions) },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
