import { createClient, type SupabaseClient } from "@supabase/supabase-js"
import { Config, Context, Effect, Layer, Redacted } from "effect"

/** The app's own client for its Supabase project. */
export class Supabase extends Context.Service<Supabase, SupabaseClient>()("larger-app/Supabase") {
  static readonly layer = Layer.effect(
    Supabase,
    Effect.gen(function* () {
      const url = yield* Config.URL("SUPABASE_URL")
      const key = yield* Config.Redacted("SUPABASE_SECRET_KEY")
      return createClient(url.href, Redacted.value(key), { auth: { autoRefreshToken: false, persistSession: false } })
    })
  )
}
