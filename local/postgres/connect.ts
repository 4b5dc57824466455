import { setTimeout as wait } from "node:timers/promises"
import { Client } from "pg"
import { codeOf } from "../StackError.ts"

/** A connected client that never throws out of band: a lost connection shows in the next query. */
export const connect = async (url: string, name = "local stack", pipeline = false): Promise<Client> => {
  const client = new Client({ connectionString: url, application_name: name, pipeline })
  client.on("error", () => {})
  await client.connect()
  return client
}

export const withClient = async <A>(url: string, use: (client: Client) => Promise<A>): Promise<A> => {
  const client = await connect(url)
  try {
    return await use(client)
  } finally {
    await client.end().catch(() => {})
  }
}

// cannot_connect_now (starting up, recovering), and no listener yet.
const NOT_YET = new Set(["57P03", "ECONNREFUSED", "ECONNRESET"])
const POLL_MILLISECONDS = 10

/** Resolves as soon as the server answers. Gives up only if `signal` aborts. */
export const answers = async (url: string, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    try {
      await withClient(url, (client) => client.query("select 1"))
      return
    } catch (cause) {
      if (!NOT_YET.has(codeOf(cause) ?? "") && !String(cause).includes("terminated unexpectedly")) throw cause
      await wait(POLL_MILLISECONDS)
    }
  }
}
