// As in Supabase's own tutorials: a plain function and createClient.
import { createClient } from "@supabase/supabase-js"
import { serveOne } from "./shared/route.ts"
import { serviceKey, supabaseUrl } from "./shared/settings.ts"
import { validateByHand } from "./shared/validate.ts"

const supabase = createClient(supabaseUrl, serviceKey)

export default {
  fetch: serveOne(validateByHand, async (name, args) => (await supabase.rpc(name, args)).data ?? undefined)
}
