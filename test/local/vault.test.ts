import { afterAll, beforeAll, expect, it } from "vitest"
import type { Stack } from "../../local/stack.ts"
import { seedVault } from "../../local/postgres/seedVault.ts"
import { bareStack, openSession, type Session } from "../support/bareStack.ts"

let stack: Stack
let session: Session

beforeAll(async () => {
  stack = await bareStack()
  session = await openSession(stack.databaseUrl)
  await session.client.query("create extension if not exists supabase_vault with schema vault")
})

afterAll(async () => {
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

const READ = "select name, description, decrypted_secret from vault.decrypted_secrets where id = $1"

it("returns a secret through the view, and never in clear text in the table", async () => {
  const id = await session.value("select vault.create_secret('sésame', 'door', 'opens it')")
  expect(await session.rows(READ, [id])).toEqual([
    { name: "door", description: "opens it", decrypted_secret: "sésame" }
  ])
  expect(await session.value("select secret from vault.secrets where id = $1", [id])).not.toContain("sésame")
})

it("refuses a second secret of the same name", async () => {
  await session.value("select vault.create_secret('a', 'once')")
  await expect(session.value("select vault.create_secret('b', 'once')")).rejects.toMatchObject({
    code: "23505",
    constraint: "secrets_name_idx"
  })
})

it("changes only the columns that an update names", async () => {
  const id = await session.value("select vault.create_secret('old', 'changing', 'kept')")
  await session.value("select vault.update_secret($1, new_secret := 'new')", [id])
  expect(await session.rows(READ, [id])).toEqual([{ name: "changing", description: "kept", decrypted_secret: "new" }])
})

it("lets role postgres read and delete, but write only through the functions", async () => {
  await session.value("select vault.create_secret('x', 'to delete')")
  await expect(session.client.query("insert into vault.secrets (secret) values ('x')")).rejects.toMatchObject({
    code: "42501"
  })
  await expect(session.client.query("update vault.secrets set name = 'y'")).rejects.toMatchObject({ code: "42501" })
  const deleted = await session.client.query("delete from vault.secrets where name = 'to delete'")
  expect(deleted.rowCount).toBe(1)
})

it.each(["anon", "authenticated"])("shows nothing to role %s", async (role) => {
  await using other = await openSession(stack.databaseUrl)
  await other.client.query(`set role ${role}`)
  await expect(other.client.query("select * from vault.decrypted_secrets")).rejects.toMatchObject({ code: "42501" })
  await expect(other.client.query("select vault.create_secret('a')")).rejects.toMatchObject({ code: "42501" })
})

it("gets the webhook's secret and URL once, and keeps what a person stored", async () => {
  const secrets = () =>
    session.rows(
      "select name, decrypted_secret from vault.decrypted_secrets where name like 'outbox\\_%' order by name"
    )
  await session.value("select vault.create_secret('mine', 'outbox_webhook_secret')")
  const names = { outbox_webhook_secret: stack.webhookSecret, outbox_function_url: stack.functionUrl }
  await seedVault(stack.databaseUrl, names)
  await seedVault(stack.databaseUrl, { outbox_webhook_secret: "other", outbox_function_url: "other" })
  expect(await secrets()).toEqual([
    { name: "outbox_function_url", decrypted_secret: stack.functionUrl },
    { name: "outbox_webhook_secret", decrypted_secret: "mine" }
  ])
})
