import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Check } from "../schema/Health.ts"
import { Surroundings } from "../services/Surroundings.ts"
import { notificationMailEvents } from "../topics/NotificationMailEvents.ts"
import * as Config from "./Config.ts"
import { Fetch } from "./Fetch.ts"

const within = "1 second"
const ill = (detail: string): Check => ({ ok: false, detail })

// Any answer means that it is there; a gateway answers 5xx for one that is not.
const judge = ({ status }: Response): Check =>
  status < 500 ? { ok: true } : ill(`the orchestrator answers with status ${status}`)

const checkSecrets = Effect.gen(function* () {
  const standard = yield* Config.webhookSecrets
  const others = [yield* Config.webhookHexSecret, yield* Config.webhookStaticSecret]
  return standard.length > 0 || others.some(Option.isSome)
    ? { ok: true }
    : ill("the handler has no secret to check deliveries with: set WEBHOOK_SECRETS")
}).pipe(Effect.catchTag("Misconfigured", ({ message }) => Effect.succeed(ill(message))))

// Supabase gives every function of a project the same settings.
const checkMail = Effect.gen(function* () {
  const withoutKey = Option.isNone(yield* Config.resendKey)
  const withoutSender = Option.isNone(yield* Config.mailFrom)
  const missing = [...(withoutKey ? ["RESEND_API_KEY"] : []), ...(withoutSender ? ["MAIL_FROM"] : [])]
  return missing.length === 0 ? { ok: true } : ill(`mails wait for ${missing.join(" and ")}: set it`)
}).pipe(Effect.catchTag("Misconfigured", ({ message }) => Effect.succeed(ill(message))))

/** Asks the orchestrator with a HEAD, which changes nothing and needs no credentials: any answer will do. */
export const layer = Layer.effect(
  Surroundings,
  Effect.gen(function* () {
    const fetch = yield* Fetch
    const { href } = yield* Config.orchestratorUrl
    const ask = Effect.tryPromise({
      try: (signal) => fetch(href, { method: "HEAD", redirect: "manual", signal }),
      catch: () => ill("the orchestrator cannot be reached")
    })
    return Surroundings.of({
      secrets: yield* checkSecrets,
      topics: { [notificationMailEvents.name]: yield* checkMail },
      orchestrator: ask.pipe(
        Effect.map(judge),
        Effect.timeoutOrElse({
          duration: within,
          orElse: () => Effect.fail(ill(`the orchestrator does not answer within ${within}`))
        }),
        Effect.catch(Effect.succeed)
      )
    })
  })
)
