// A common choice for a service like this: a router, a schema library, the vendor's client.
import { createClient } from "@supabase/supabase-js"
import { Hono } from "hono"
import * as z from "zod"
import { problem } from "./shared/problem.ts"
import { echoId, receive } from "./shared/receive.ts"
import { FUNCTION, PATH } from "./shared/route.ts"
import { serviceKey, supabaseUrl } from "./shared/settings.ts"
import { TIMESTAMP, UUID, type Validate } from "./shared/webhook.ts"

const supabase = createClient(supabaseUrl, serviceKey)

const origin = {
  table: z.literal("peer_mentor_profiles"),
  schema: z.literal("public"),
  event_id: z.string().regex(UUID).optional(),
  version: z.number().int().positive().optional(),
  timestamp: z.string().regex(TIMESTAMP).optional(),
  record: z.object({ id: z.string().regex(UUID), status: z.string(), updated_at: z.unknown().optional() })
}
const WebhookPayload = z.discriminatedUnion("type", [
  z.object({ type: z.literal("INSERT"), ...origin, old_record: z.null().optional() }),
  z.object({ type: z.literal("UPDATE"), ...origin, old_record: z.object({ status: z.string() }) })
])

const validate: Validate = (input) => {
  const result = WebhookPayload.safeParse(input)
  return result.success
    ? { webhook: result.data }
    : {
        issues: result.error.issues.map(({ message, path }) => ({
          message,
          path: path.filter((key) => typeof key !== "symbol")
        }))
      }
}

const app = new Hono()
app.use(async (context, next) => {
  await next()
  context.res = echoId(context.req.raw, context.res)
})
for (const path of [PATH, `${FUNCTION}${PATH}`]) {
  app.post(path, (context) =>
    receive(context.req.raw, validate, async (name, args) => (await supabase.rpc(name, args)).data ?? undefined)
  )
  app.all(path, () => problem(405, "method_not_allowed", "This path answers POST", {}, { allow: "POST" }))
}
app.notFound(() => problem(404, "not_found", "There is nothing at this path"))

export default { fetch: app.fetch }
