import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ContinueMillis } from "../services/Continue.ts"
import { inTimeZone, MailTemplate } from "../topics/MailTemplate.ts"
import * as Config from "./Config.ts"
import * as DedupeStoreSupabase from "./DedupeStoreSupabase.ts"
import { HttpLimits } from "./Http.ts"
import * as MailerResend from "./MailerResend.ts"
import * as MailReceiptsSupabase from "./MailReceiptsSupabase.ts"
import { ProjectKey } from "./ProjectKey.ts"
import * as SignatureVerifierWebCrypto from "./SignatureVerifierWebCrypto.ts"
import * as SupabaseRest from "./SupabaseRest.ts"

/**
 * The services of send-email as it runs on Supabase, configured by the environment. Built one after the other, as Live
 * is.
 */
export const layer = HttpLimits.layer.pipe(
  Layer.provideMerge(MailerResend.layer),
  Layer.provideMerge(
    Layer.provide(Layer.provideMerge(MailReceiptsSupabase.layer, DedupeStoreSupabase.layer), SupabaseRest.layer)
  ),
  Layer.provideMerge(ProjectKey.layer),
  Layer.provideMerge(SignatureVerifierWebCrypto.layerStandard),
  Layer.provideMerge(Layer.effect(ContinueMillis, Config.continueMillis)),
  Layer.provideMerge(Layer.effect(MailTemplate, Effect.map(Config.mailTimeZone, inTimeZone))),
  Layer.provide(Config.fromEnvironment)
)
