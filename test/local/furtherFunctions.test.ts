import { assert, it } from "@effect/vitest"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { bareStack, openSession } from "../support/bareStack.ts"

const GREETING = `globalThis.greeting ??= "hello"
export default {
  fetch: (request) => Response.json({
    greeting: globalThis.greeting,
    path: new URL(request.url).pathname,
    name: Deno.env.get("NAME"),
    secret: Deno.env.get("WEBHOOK_SECRETS")
  })
}`

it("serves further functions, applies further migrations and puts each topic's URL in Vault", async () => {
  const directory = await mkdtemp(join(tmpdir(), "pause-status-test-"))
  const migrations = join(directory, "migrations")
  const bundle = join(directory, "greet.mjs")
  await mkdir(migrations)
  await writeFile(
    join(migrations, "20270101000000_create_extension.sql"),
    "create extension supabase_vault with schema vault"
  )
  await writeFile(join(migrations, "20270101000100_create_greetings.sql"), "create table public.greetings (word text)")
  await writeFile(bundle, GREETING)
  await using stack = await bareStack({
    migrate: true,
    migrations: [migrations],
    functions: [
      { name: "greet", bundle, env: { NAME: "Ada" }, receives: { topic: "greeting", functionUrl: "greeting_url" } },
      { name: "salute", bundle, prelude: () => 'globalThis.greeting = "salute"' }
    ]
  })

  const ask = async (path: string) => (await fetch(`${stack.apiUrl}/functions/v1/${path}`)).json()
  const secret = stack.webhookSecret
  assert.deepStrictEqual(await ask("greet/a/b"), { greeting: "hello", path: "/greet/a/b", name: "Ada", secret })
  assert.deepStrictEqual(await ask("salute"), { greeting: "salute", path: "/salute", secret })

  await using session = await openSession(stack.databaseUrl)
  assert.strictEqual(await session.value("select count(*)::int from public.greetings"), 0)
  assert.strictEqual(
    await session.value("select decrypted_secret from vault.decrypted_secrets where name = 'greeting_url'"),
    `${stack.apiUrl}/functions/v1/greet/api/v1/webhooks/greeting`
  )

  await stack.functions.get("greet")?.stop()
  assert.deepInclude(await ask("greet"), { code: "BOOT_ERROR" })
  await stack.stop()
  await rm(directory, { recursive: true })
})
