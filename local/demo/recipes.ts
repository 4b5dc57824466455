import { join } from "node:path"
import type { Running } from "../running.ts"
import type { Mentors } from "./seed.ts"

const project = join(import.meta.dirname, "../..")
const SQL = "npm run -s sql --"

const update = (status: string, name: string): string =>
  `update peer_mentor_profiles
  set status = '${status}' where full_name = '${name}'`

/** The commands at the end of the tour, each with its purpose. */
export const shortRecipes = (
  orchestratorPid: number | undefined
): ReadonlyArray<readonly [command: string, why: string]> => [
  [`${SQL} "update peer_mentor_profiles set status = 'active'"`, ""],
  ["npm run -s sql", "opens a prompt for SQL"],
  [`kill -STOP ${orchestratorPid}`, "freezes the orchestrator: changes wait"],
  [`kill -CONT ${orchestratorPid}`, "lets it continue: nothing was lost"],
  ["npm start -- --recipes", "prints more: webhooks, management, …"]
]

/** A script for another terminal. You can paste it whole or line by line. */
export const recipes = (running: Running, [first, second, third]: Mentors): string => {
  const api = running.functionUrl.replace(/\/api\/.*/, "")
  return `cd ${project}
API=${api}
EVENTS=$API${running.functionUrl.slice(api.length)}
KEY=${running.serviceKey}
SECRET=${running.webhookSecret}

# Pause one mentor. Then resume all of them with one UPDATE.
${SQL} "${update("paused", second.name)}"
${SQL} "update peer_mentor_profiles set status = 'active'"

# Read the outbox, and who was notified.
${SQL} "select record ->> 'status' as became, version, status,
  attempts, last_error from outbox.events
  where topic = 'pause-status' order by created_at"
${SQL} "select transition, version, created_at from notifications"

# Freeze the orchestrator and pause a mentor. Eight seconds later nobody was
# notified: the event waits in the outbox, with the reason.
kill -STOP ${running.orchestratorPid}
${SQL} "${update("paused", third.name)}"
sleep 8
${SQL} "select status, attempts, last_error
  from outbox.events where key = '${third.id}'
  order by version desc limit 1"
# Ask with the project's secret key what cancelling it would do, without doing
# it. The answer is 409 in_flight if it is being tried at this moment.
EVENT=$(curl -s -H "apikey: $KEY" "$EVENTS?limit=1" |
  sed 's/.*"eventId":"\\([^"]*\\)".*/\\1/')
curl -sw "\\n" -X PUT -H "apikey: $KEY" -H "content-type: application/json" \\
  -d '{"status": "resolved", "dryRun": true}' "$EVENTS/$EVENT"
# Let the orchestrator continue: what waited is completed.
kill -CONT ${running.orchestratorPid}
sleep 12
${SQL} "select status, attempts, completed_at - created_at as took
  from outbox.events where event_id = '$EVENT'"

# Manage events with the same key: is all well? Which events are newest? What
# happened to one of them?
curl -sw "\\n" -H "apikey: $KEY" "$API/health"
curl -sw "\\n" -H "apikey: $KEY" "$EVENTS?limit=2"
curl -sw "\\n" -H "apikey: $KEY" "$EVENTS/$EVENT"

# Be the sender of a webhook: sign it as Standard Webhooks says. The first
# time it is answered 200, the same again 409, and without a signature 401.
BODY='{"type": "UPDATE", "table": "peer_mentor_profiles", "schema": "public",
 "record": {"id": "${first.id}", "status": "active",
  "updated_at": "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"},
 "old_record": {"id": "${first.id}",
  "status": "paused"}}'
ID=by-hand-$(date +%s)
TIME=$(date +%s)
HEX=$(printf %s "\${SECRET#whsec_}" | openssl base64 -d -A |
  od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$(printf '%s.%s.%s' "$ID" "$TIME" "$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$HEX" -binary |
  openssl base64 -A)
send() { curl -isSw "\\n" "$EVENTS" -d "$BODY" "$@"; }
JSON='content-type: application/json'
send -H "$JSON" -H "webhook-id: $ID" -H "webhook-timestamp: $TIME" \\
  -H "webhook-signature: v1,$SIGNATURE"
send -H "$JSON" -H "webhook-id: $ID" -H "webhook-timestamp: $TIME" \\
  -H "webhook-signature: v1,$SIGNATURE"
send -H "$JSON"`
}
