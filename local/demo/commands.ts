import { randomUUID } from "node:crypto"
import { existsSync, realpathSync } from "node:fs"
import { join, relative } from "node:path"
import type { Stack } from "../stack.ts"
import { sign } from "./delivery.ts"
import type { Mentor } from "./seed.ts"

const project = join(import.meta.dirname, "../..")

// The Node that npm brought along is on the PATH of npm's scripts, not on that of the terminal.
const node = (): string => {
  const link = join(project, "node_modules/.bin/node")
  const isLinked = existsSync(link) && realpathSync(link) === realpathSync(process.execPath)
  return isLinked ? relative(project, link) : process.execPath
}

const update = (status: string, name: string): string =>
  `update peer_mentor_profiles set status = '${status}' where full_name = '${name}'`

const OUTBOX = `
  select left(event_id::text, 8) as event, record ->> 'status' as became, version, source, status, attempts, last_error
  from outbox.events where topic = 'pause-status' order by created_at`

export const NOTIFICATIONS = `
  select left(n.event_id::text, 8) as event, p.full_name as mentor, n.transition, n.version,
    c.name as told, to_char(n.created_at, 'HH24:MI:SS.MS') as at
  from notifications n
  join peer_mentor_profiles p on p.id = n.mentor_id
  join coordinators c on c.id = n.coordinator_id
  order by n.created_at`

/** A script for another terminal. Pasted whole or line by line, it does what its comments say. */
export const commands = (stack: Stack, second: Mentor, third: Mentor): string => {
  const run = `${node()} local/sql.ts`
  // The signature is over these very characters, line breaks included.
  const body = `{"type": "UPDATE", "table": "peer_mentor_profiles", "schema": "public",
 "record": {"id": "${third.id}", "status": "active",
  "updated_at": "${new Date().toISOString()}"},
 "old_record": {"id": "${third.id}", "status": "paused"}}`
  const { headers } = sign(stack.webhookSecret, randomUUID(), body)
  return `cd ${project}
export DATABASE_URL=${stack.databaseUrl}

# Pause a mentor, and resume the mentor.
${run} \\
  "${update("paused", second.name)}"
${run} \\
  "${update("active", second.name)}"
# The same with psql, if you have it:
psql "$DATABASE_URL" -c \\
  "${update("paused", second.name)}"

# Stop the orchestrator where it stands, pause a mentor, and let it go on: nothing is lost.
kill -STOP ${stack.services.orchestrator.pid}
${run} \\
  "${update("paused", third.name)}"
kill -CONT ${stack.services.orchestrator.pid}

# Look into the outbox, and at who was told.
${run} "${OUTBOX}"
${run} "${NOTIFICATIONS}"

# Be the sender of a webhook. Signed: 200. The same again: 409, a duplicate. (This signature is
# accepted for five minutes.)
URL=${stack.functionUrl}
BODY='${body}'
curl -isSw "\\n" "$URL" -d "$BODY" \\
${Object.entries(headers)
  .map(([name, value]) => `  -H '${name}: ${value}'`)
  .join(" \\\n")}

# Sign it yourself, under another id: 200.
SECRET=${stack.webhookSecret}
ID=by-hand-$(date +%s)
TIME=$(date +%s)
KEY=$(printf %s "\${SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$(printf '%s.%s.%s' "$ID" "$TIME" "$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | openssl base64 -A)
curl -isSw "\\n" "$URL" -d "$BODY" -H 'content-type: application/json' \\
  -H "webhook-id: $ID" -H "webhook-timestamp: $TIME" -H "webhook-signature: v1,$SIGNATURE"

# Unsigned: 401.
curl -isSw "\\n" "$URL" -d "$BODY" -H 'content-type: application/json'`
}
