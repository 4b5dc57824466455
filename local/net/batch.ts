import type { Client } from "pg"
import { codeOf } from "../StackError.ts"
import { exchange, type Outcome, type QueuedRequest } from "./exchange.ts"

const TIME_TO_LIVE = "6 hours"
const BATCH_SIZE = 200

export interface Batch {
  readonly requests: number
  readonly expired: number
}

const EXPIRE = `
  with old as (
    select response.ctid from net._http_response as response
    where response.created < now() - $1::interval order by response.created limit $2
  )
  delete from net._http_response as response using old where response.ctid = old.ctid`

// A null header value makes the whole line null, which leaves the header out.
const TAKE = `
  with next as (
    select request.id from net.http_request_queue as request order by request.id limit $1
  )
  delete from net.http_request_queue as request using next where request.id = next.id
  returning request.id, request.method, request.url, request.timeout_milliseconds as timeout, request.body, array(
    select header.key || ': ' || header.value from jsonb_each_text(request.headers) as header
    where header.value is not null
  ) as headers`

const RECORD = `
  insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
  select id, status, "contentType", headers, content, "timedOut", error
  from jsonb_to_recordset($1::jsonb) as outcome(
    id bigint, status int, "contentType" text, headers jsonb, content text, "timedOut" bool, error text
  )`

const NO_TABLE = "42P01"
const NO_SCHEMA = "3F000"

/**
 * One round of pg_net's worker: a single transaction takes the oldest requests, sends all of them, waits for the
 * slowest, and records what came back. If it dies in between, the requests stay in the queue although they were sent.
 */
export const runBatch = async (client: Client): Promise<Batch> => {
  try {
    // By name, so that they are planned once: the real worker keeps its plans too. In one round trip, because the real
    // one, inside PostgreSQL, makes none.
    const [, expired, { rows }] = await Promise.all([
      client.query("begin"),
      client.query({ name: "expire", text: EXPIRE, values: [TIME_TO_LIVE, BATCH_SIZE] }),
      client.query<QueuedRequest>({ name: "take", text: TAKE, values: [BATCH_SIZE] })
    ])
    if (rows.length > 0) {
      const outcomes: Array<Outcome> = []
      // In the order in which the answers came, as pg_net writes them.
      await Promise.all(rows.map(async (request) => outcomes.push(await exchange(request))))
      await client.query({ name: "record", text: RECORD, values: [JSON.stringify(outcomes)] })
    }
    await client.query("commit")
    return { requests: rows.length, expired: expired.rowCount ?? 0 }
  } catch (cause) {
    await client.query("rollback").catch(() => {})
    const code = codeOf(cause)
    // The extension is not installed (yet): nothing to do until the next wake.
    if (code === NO_TABLE || code === NO_SCHEMA) return { requests: 0, expired: 0 }
    throw cause
  }
}
