// Without any library: the lower bound.
import { serveOne } from "./shared/route.ts"
import { serviceKey, supabaseUrl } from "./shared/settings.ts"
import { validateByHand } from "./shared/validate.ts"

const STORE_TIMEOUT_MS = 3_000
const headers = { "content-type": "application/json", apikey: serviceKey, authorization: `Bearer ${serviceKey}` }

export default {
  fetch: serveOne(validateByHand, async (name, args): Promise<unknown> => {
    try {
      const response = await fetch(`${supabaseUrl}/rest/v1/rpc/${name}`, {
        method: "POST",
        headers,
        body: JSON.stringify(args),
        signal: AbortSignal.timeout(STORE_TIMEOUT_MS)
      })
      if (response.ok) return await response.json()
      await response.body?.cancel()
      return undefined
    } catch {
      return undefined
    }
  })
}
