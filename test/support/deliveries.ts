import { assert } from "@effect/vitest"
import { createHmac, randomUUID } from "node:crypto"
import { Schema } from "effect"
import type { Stack } from "../../local/stack.ts"
import { BatchReply, Problem } from "../../src/schema/Replies.ts"
import { bytesOf } from "./payloads.ts"
import { createMentor, type Database } from "./pipeline.ts"

/** The body that the outbox sends for a pause, with ids of its own. */
export const pausePayload = (mentorId: string, eventId: string, version = 1) => ({
  type: "UPDATE",
  table: "peer_mentor_profiles",
  record: { id: mentorId, status: "paused" },
  schema: "public",
  version,
  event_id: eventId,
  timestamp: "2026-11-22T09:30:00.123456Z",
  old_record: { id: mentorId, status: "active" }
})

type Payload = ReturnType<typeof pausePayload>

const QUEUE = `
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, next_attempt_at
  )
  select
    (p ->> 'event_id')::uuid, 'pause-status', p -> 'record' ->> 'id', (p ->> 'version')::bigint, p ->> 'type',
    p -> 'record', p -> 'old_record', (p ->> 'timestamp')::timestamptz, 'outbox', now() + interval '50 minutes'
  from (select $1::jsonb as p) as given`

/** Puts an event into the outbox that nobody sends: it comes by hand. Returns its body. */
export const queue = async (database: Pick<Database, "rows">, payload: Payload): Promise<Payload> => {
  await database.rows(QUEUE, [JSON.stringify(payload)])
  return payload
}

/** A pause of a new mentor that waits in the outbox and comes by hand. */
export const newPause = async (database: Database, eventId: string = randomUUID()) => {
  const mentorId = await createMentor(database)
  return { mentorId, eventId, payload: await queue(database, pausePayload(mentorId, eventId)) }
}

export interface Signing {
  readonly secret: string
  readonly id?: string
  readonly seconds?: number
}

/** The headers of a delivery whose exact bytes are signed, whether they are text or not. */
export const signedHeaders = (body: Uint8Array, { secret, id = randomUUID(), seconds }: Signing) => {
  const timestamp = String(seconds ?? Math.floor(Date.now() / 1000))
  const key = Buffer.from(secret.slice("whsec_".length), "base64")
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${mac}`
  }
}

type Target = Pick<Stack, "functionUrl" | "webhookSecret">

/** Delivers a JSON value as the outbox would. */
export const deliver = (stack: Target, payload: unknown, id?: string): Promise<Response> => {
  const body = bytesOf(payload)
  const headers = signedHeaders(body, { secret: stack.webhookSecret, ...(id !== undefined && { id }) })
  return fetch(stack.functionUrl, { method: "POST", body, headers })
}

const decodeBatch = Schema.decodeUnknownPromise(BatchReply, { onExcessProperty: "error" })

/** Delivers an array, and what became of each element: `word` is its problem's code, or its reply's status. */
export const deliverMany = async (stack: Target, payloads: ReadonlyArray<unknown>) => {
  const response = await deliver(stack, payloads)
  assert.strictEqual(response.status, 200)
  const { results } = await decodeBatch(await response.json())
  assert.lengthOf(results, payloads.length)
  return results.map(({ eventId, problem, reply, status }) => ({
    eventId,
    status,
    problem,
    reply,
    word: problem?.code ?? reply?.status
  }))
}

const decodeProblem = Schema.decodeUnknownPromise(Problem, { onExcessProperty: "error" })

/** The problem in an error reply, checked against the published schema. */
export const problemOf = async (response: Response): Promise<Problem> => {
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
  const problem = await decodeProblem(await response.json())
  assert.strictEqual(problem.status, response.status)
  return problem
}

/** Status and code of an error reply, as "409 in_flight". */
export const verdict = async (response: Response): Promise<string> => {
  const { code, status } = await problemOf(response)
  return `${status} ${code}`
}
