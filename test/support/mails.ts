import { assert } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Schema } from "effect"
import { type Database, eventually, type Pipeline } from "./pipeline.ts"

const Mails = Schema.Array(
  Schema.Struct({
    id: Schema.String,
    from: Schema.String,
    to: Schema.Array(Schema.String),
    subject: Schema.String,
    html: Schema.optionalKey(Schema.String),
    text: Schema.optionalKey(Schema.String),
    idempotencyKey: Schema.optionalKey(Schema.String)
  })
)
const decodeMails = Schema.decodeUnknownPromise(Mails)

/** What the stand-in for Resend has accepted for an address. */
export const mailsTo = async ({ stack }: Pipeline, address: string) => {
  const mails = await decodeMails(await (await fetch(`${stack.resendUrl}/mails.json`)).json())
  return mails.filter(({ to }) => to.includes(address))
}

/** Says what goes wrong with the next requests to the stand-in for Resend. */
export const spoil = async ({ stack }: Pipeline, ...faults: ReadonlyArray<string>): Promise<void> => {
  const { status } = await fetch(`${stack.resendUrl}/faults/${faults.join(",")}`, { method: "POST" })
  assert.strictEqual(status, 204)
}

/** An address that nobody else has. */
export const newAddress = (): string => `${randomUUID()}@example.com`

/** A new mentor with a name, and a coordinator for each address. */
export const createNamedMentor = async (
  { database }: Pipeline,
  name: string,
  ...addresses: ReadonlyArray<string | null>
): Promise<string> => {
  const mentorId = randomUUID()
  await database.rows("insert into public.peer_mentor_profiles (id, full_name) values ($1, $2)", [mentorId, name])
  await database.rows(
    `with told as (
       insert into public.coordinators (name, email) select 'Coordinator ' || a.place, a.address
       from unnest($2::text[]) with ordinality as a (address, place) returning id
     )
     insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, told.id from told`,
    [mentorId, addresses]
  )
  return mentorId
}

export interface MailEvent {
  readonly event_id: string
  readonly key: string
  readonly status: string
  readonly record: Readonly<Record<string, unknown>>
  readonly failures: number
  readonly receipt: { readonly messageId?: string } | null
  readonly last_error: string | null
}

/** The events of a mentor's notifications, by coordinator. */
export const mailEventsOf = (database: Database, mentorId: string): Promise<Array<MailEvent>> =>
  database.rows<MailEvent>(
    `select event_id, key, status, record, failures, receipt, last_error from outbox.events
     where topic = 'notification-mail' and record ->> 'mentor_id' = $1 order by created_at, key`,
    [mentorId]
  )

/** Waits until so many mails of a mentor are settled. */
export const settledMails = (database: Database, mentorId: string, count: number): Promise<ReadonlyArray<MailEvent>> =>
  eventually(`${count} mails about mentor ${mentorId} to be settled`, async () => {
    const events = await mailEventsOf(database, mentorId)
    const settled = events.filter(({ status }) => status === "completed" || status === "failed")
    if (events.length === count && settled.length === count) return events
    throw new Error(JSON.stringify(events))
  })
