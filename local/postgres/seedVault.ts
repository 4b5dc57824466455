import { withClient } from "./connect.ts"

export interface VaultSeeds {
  readonly webhookSecret: string
  readonly functionUrl: string
}

const EXISTS = "select to_regprocedure('vault.create_secret(text, text, text, uuid)') is not null as yes"

const CREATE = `
  select vault.create_secret($1, $2, $3)
  where not exists (select from vault.secrets as secret where secret.name = $2)`

/** Gives the database the two facts it needs to call the function; what is there already stays. */
export const seedVault = (databaseUrl: string, seeds: VaultSeeds): Promise<void> =>
  withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ yes: boolean }>(EXISTS)
    if (rows[0]?.yes !== true) return
    await client.query(CREATE, [seeds.webhookSecret, "outbox_webhook_secret", "signs the webhooks"])
    await client.query(CREATE, [seeds.functionUrl, "outbox_function_url", "where the webhooks go"])
  })
