// Makes the calls of the stand-in for pgsql-http; a separate process, because SQL cannot use the network.
import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { exchange, type Outcome } from "../net/exchange.ts"
import { connect } from "../postgres/connect.ts"
import { messageOf } from "../StackError.ts"

const databaseUrl = process.env["HTTP_DATABASE_URL"] ?? ""
const RECONNECT_MILLISECONDS = 200

interface Call {
  readonly id: string
  readonly request: {
    readonly method: string
    readonly url: string
    readonly timeout: number
    readonly headers: ReadonlyArray<string>
    readonly body: string | null
  }
}

const PREPARE = `
  create schema if not exists stand_in_http;
  create unlogged table if not exists stand_in_http.calls (
    id bigint generated always as identity primary key,
    request jsonb not null,
    outcome jsonb,
    taken boolean not null default false,
    called_at timestamptz not null default now()
  );
  revoke all on schema stand_in_http from public;
  delete from stand_in_http.calls;
  listen stand_in_http`

// The caller of these has gone, so nobody needs them.
const TAKE = `
  with forgotten as (delete from stand_in_http.calls where called_at < now() - interval '5 minutes')
  update stand_in_http.calls set taken = true where not taken returning id, request`

const open = async (): Promise<Client> => {
  for (let lastMessage = ""; ;) {
    try {
      const client = await connect(databaseUrl, "http worker")
      client.on("end", () => process.exit(1))
      return client
    } catch (cause) {
      const message = messageOf(cause)
      if (message !== lastMessage) console.error(message)
      lastMessage = message
      await wait(RECONNECT_MILLISECONDS)
    }
  }
}

const errorOf = (outcome: Outcome, timeout: number): string | null =>
  outcome.timedOut ? `Operation timed out after ${timeout} milliseconds` : outcome.error

const answer = async (client: Client, { id, request }: Call): Promise<void> => {
  const body = request.body === null ? null : Buffer.from(request.body)
  const outcome = await exchange({ ...request, id, body, userAgent: "pgsql-http (stand-in)" })
  const told = JSON.stringify({ ...outcome, error: errorOf(outcome, request.timeout) })
  await client.query("update stand_in_http.calls set outcome = $2 where id = $1", [id, told])
}

const fail = (cause: unknown): void => {
  console.error(messageOf(cause))
  process.exit(1)
}

process.on("SIGTERM", () => process.exit(0))

const client = await open()
const serve = async (): Promise<void> => {
  const { rows } = await client.query<Call>(TAKE)
  for (const call of rows) void answer(client, call).catch(fail)
}
client.on("notification", () => void serve().catch(fail))
await client.query(PREPARE)
console.log("ready")
