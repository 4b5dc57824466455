import { Client } from "pg"

/** How long a test waits for what must come, on a machine many times slower than ours; one that passes never does. */
export const patienceMillis = 150_000

/**
 * Time enough for each call of a function: what most tests prove is what is answered and who is told, not how soon. A
 * busy machine must not make it 502 or 503 instead.
 */
export const patientEnv = {
  STORE_TIMEOUT_MS: "20000",
  ORCHESTRATOR_TIMEOUT_MS: "10000",
  ORCHESTRATOR_BUDGET_MS: "15000",
  BODY_TIMEOUT_MS: "30000",
  JWKS_TIMEOUT_MS: "20000"
} as const

/** Settings under which nothing is taken for lost because the machine is slow. */
export const patientSettings = "acknowledge_timeout_seconds = 60, request_timeout_ms = 60000"

/**
 * Prepares the outbox of a new stack. The jobs wait for New Year that run by the clock on the wall, once in some minutes:
 * a reconciliation would tell of profiles that a test only pretends to have changed, and retention would forget what a
 * test gave a date of its own. So that health takes them for well, silence is one of days.
 */
export const unhurried = async (databaseUrl: string): Promise<void> => {
  const client = new Client(databaseUrl)
  await client.connect()
  await client.query(`update outbox.settings set ${patientSettings}, alert_sweep_silent_seconds = 1000000`)
  await client.query("select cron.schedule(jobname, '0 0 1 1 *', command) from cron.job where schedule !~ 'seconds'")
  await client.end()
}
