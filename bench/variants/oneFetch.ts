// What a function that calls one service costs at least: it looks at nothing, asks, and answers 200.
import { supabaseUrl } from "./shared/settings.ts"

export default {
  fetch: async (): Promise<Response> => {
    const response = await fetch(`${supabaseUrl}/emails`, { method: "POST", body: "{}" })
    return new Response(await response.text(), { headers: { "content-type": "application/json" } })
  }
}
