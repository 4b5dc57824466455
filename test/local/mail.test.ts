import { assert, it } from "@effect/vitest"
import { Resend } from "resend"
import { type Stack, SEND_EMAIL } from "../../local/stack.ts"
import { bareStack, openSession } from "../support/bareStack.ts"
import { eventually } from "../support/eventually.ts"

const mail = { from: "Mentoring <mentoring@example.com>", to: "ada@example.com", subject: "Paused", text: "Paused" }

const sentTo = async ({ resendUrl }: Stack): Promise<ReadonlyArray<string>> => {
  const mails: unknown = await (await fetch(`${resendUrl}/mails.json`)).json()
  return Array.isArray(mails) ? mails.flatMap(({ to }) => to) : []
}

it("gives send-email a Resend that keeps its mails and keys after a kill, allows two requests a second, and logs", async () => {
  const lines: Array<string> = []
  const log = ({ source, text }: { source: string; text: string }) => void (source === "resend" && lines.push(text))
  await using stack = await bareStack({ log, sendEmailEnv: { NAME: "Ada" } }, [SEND_EMAIL])

  const { env } = await (await fetch(`${stack.apiUrl}/functions/v1/${SEND_EMAIL}`)).json()
  assert.deepInclude(env, {
    NAME: "Ada",
    RESEND_BASE_URL: stack.resendUrl,
    RESEND_API_KEY: stack.resendKey,
    WEBHOOK_SECRETS: stack.webhookSecret
  })
  assert.match(env.MAIL_FROM, /@/)
  // The handler's health says whether mail is set up. The orchestrator has nothing to do with it.
  const orchestrator = await (await fetch(stack.orchestratorUrl)).json()
  assert.notProperty(orchestrator.env, "RESEND_API_KEY")

  const client = new Resend(stack.resendKey, { baseUrl: stack.resendUrl })
  const first = await client.emails.send(mail, { idempotencyKey: "key" })
  assert.isNull(first.error)
  assert.strictEqual(first.headers?.["ratelimit-limit"], "2")
  await eventually(() => lines).toContain("mail to ada@example.com: Paused")

  const { resend } = stack.services
  await resend.kill("SIGKILL")
  await resend.start()
  const again = await client.emails.send(mail, { idempotencyKey: "key" })
  assert.deepStrictEqual(again.data, first.data)
  assert.deepStrictEqual(await sentTo(stack), ["ada@example.com"])
})

it("puts the URL of send-email in Vault, if that function exists, and can lift the limit", async () => {
  const secrets = async (stack: Stack) => {
    await using session = await openSession(stack.databaseUrl)
    return await session.rows(
      "select decrypted_secret from vault.decrypted_secrets where name = 'outbox_send_email_url'"
    )
  }
  const migrations = [new URL("../../supabase/migrations", import.meta.url).pathname]
  const options = { migrate: true, migrations, resendRequestsPerSecond: 0 }
  await using stack = await bareStack(options, [SEND_EMAIL])
  assert.deepStrictEqual(await secrets(stack), [
    { decrypted_secret: `${stack.apiUrl}/functions/v1/${SEND_EMAIL}/api/v1/webhooks/notification-mail` }
  ])
  const client = new Resend(stack.resendKey, { baseUrl: stack.resendUrl })
  for (let sent = 0; sent < 5; sent++) assert.isNull((await client.emails.send(mail)).error)

  await using without = await bareStack({ migrate: true, migrations })
  assert.deepStrictEqual(await secrets(without), [])
  assert.isFalse(without.functions.has(SEND_EMAIL))
})
