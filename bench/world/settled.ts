import type { Client } from "pg"
import { createMentors, flip, takeSent } from "./database.ts"

const CLAIM = "select public.outbox_claim($1) as answers"
const SETTLE = "select public.outbox_settle($1) -> 'settled' as answers"
const RECEIPT = { notified: 2, notificationIds: ["n1", "n2"] }

interface Answer {
  readonly eventId: string
  readonly outcome: string
  readonly token: number
}

type Queryable = Pick<Client, "query">

const ask = async (client: Queryable, statement: string, input: unknown): Promise<ReadonlyArray<Answer>> => {
  const { rows } = await client.query<{ answers: ReadonlyArray<Answer> }>(statement, [JSON.stringify(input)])
  return rows[0]?.answers ?? []
}

export const claim = (client: Queryable, events: ReadonlyArray<object>) => ask(client, CLAIM, events)

export const settle = (client: Queryable, claims: ReadonlyArray<Answer>) =>
  ask(
    client,
    SETTLE,
    claims.map(({ eventId, token }) => ({ eventId, token, outcome: "completed", receipt: RECEIPT }))
  )

/** How many of the answers are this word, to check that a timed statement did its work. */
export const countOf = (answers: ReadonlyArray<Answer>, outcome: string): number =>
  answers.filter((answer) => answer.outcome === outcome).length

// Works for any columns: those that must differ get their own value, the others copy the model.
const copiesOf = async (client: Client, table: string, own: Readonly<Record<string, string>>) => {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''`,
    [table]
  )
  const names = rows.map(({ name }) => name)
  return `insert into ${table} (${names.join(", ")})
    select ${names.map((name) => own[name] ?? `model.${name}`).join(", ")}`
}

const QUEUE = "outbox.events"
const ATTEMPTS = "outbox.attempts"

const multiply = async (client: Client, mentorId: string, count: number): Promise<void> => {
  const own = { event_id: "gen_random_uuid()", key: "gen_random_uuid()", leads: "null" }
  await client.query(
    `${await copiesOf(client, QUEUE, own)}
     from ${QUEUE} model cross join generate_series(1, $2) where model.key = $1`,
    [mentorId, count]
  )
}

/** So many events that were notified long ago, each with its attempt. */
export const fillSettled = async (client: Client, count: number): Promise<void> => {
  const mentorIds = await createMentors(client, 1)
  await flip(client, "public.peer_mentor_profiles", mentorIds)
  await settle(client, await claim(client, await takeSent(client)))
  await multiply(client, mentorIds[0] ?? "", count)
  await client.query(
    `${await copiesOf(client, ATTEMPTS, { id: "gen_random_uuid()", event_id: "other.event_id" })}
     from ${QUEUE} known join ${ATTEMPTS} model on model.event_id = known.event_id
     cross join ${QUEUE} other
     where known.key = $1 and other.key <> $1`,
    [mentorIds[0]]
  )
}

/** So many events on their way to a handler that has not answered yet. */
export const fillPending = async (client: Client, count: number): Promise<void> => {
  await client.query("update outbox.settings set acknowledge_timeout_seconds = 3600")
  const mentorIds = await createMentors(client, 1)
  await flip(client, "public.peer_mentor_profiles", mentorIds)
  await takeSent(client)
  await multiply(client, mentorIds[0] ?? "", count)
}
