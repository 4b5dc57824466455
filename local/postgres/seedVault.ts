import { withClient } from "./connect.ts"

const EXISTS = "select to_regprocedure('vault.create_secret(text, text, text, uuid)') is not null as yes"

const CREATE = `
  select vault.create_secret($1, $2)
  where not exists (select from vault.secrets as secret where secret.name = $2)`

/** Stores what the database needs to call the functions, by name. Existing values stay. */
export const seedVault = (databaseUrl: string, secrets: Readonly<Record<string, string>>): Promise<void> =>
  withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ yes: boolean }>(EXISTS)
    if (rows[0]?.yes !== true) return
    for (const [name, secret] of Object.entries(secrets)) await client.query(CREATE, [secret, name])
  })
