import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { changesOf, type NewMentor, type Operation } from "./plan.ts"
import type { Session } from "./Session.ts"

/** When the writer saw a transaction committed, by the transaction's id. Milliseconds since 1970. */
type Commits = Map<string, number>

export interface Load {
  readonly commits: Commits
  /** Transitions that were committed, as far as the writers know. */
  changes: number
  readonly operations: Map<Operation["kind"], number>
}

const FLIP = `
  update public.peer_mentor_profiles
  set status = case status when 'active' then 'paused' else 'active' end, updated_at = clock_timestamp()
  where id = $1
  returning pg_current_xact_id()::text as transaction`

// Rows are locked in one order first: an UPDATE of many locks them in any, and would deadlock with another of its kind.
const FLIP_MANY = `
  with locked as materialized (
    select id from public.peer_mentor_profiles where id = any($1::uuid[]) order by id for update
  )
  update public.peer_mentor_profiles as profile
  set status = case profile.status when 'active' then 'paused' else 'active' end, updated_at = clock_timestamp()
  from locked where profile.id = locked.id
  returning pg_current_xact_id()::text as transaction`

const UNCHANGED = "update public.peer_mentor_profiles set status = status where id = $1"
const TOUCH = "update public.peer_mentor_profiles set full_name = 'touched', updated_at = now() where id = $1"
const WORD = "update public.peer_mentor_profiles set status = $2 where id = $1"

// "On conflict": the attempt before this one may have been committed although its answer was lost.
export const INSERT_MENTORS = `
  with mentor as (
    insert into public.peer_mentor_profiles (id, status)
    select m.id, m.status from jsonb_to_recordset($1::jsonb) as m (id uuid, status text)
    on conflict do nothing
  )
  insert into public.mentor_coordinators (mentor_id, coordinator_id)
  select m.id, c.id::uuid
  from jsonb_to_recordset($1::jsonb) as m (id uuid, coordinators jsonb)
  cross join jsonb_array_elements_text(m.coordinators) as c (id)
  on conflict do nothing`

const MOVE_COORDINATORS = `
  insert into public.mentor_coordinators (mentor_id, coordinator_id)
  select $2, c.coordinator_id from public.mentor_coordinators c where c.mentor_id = $1
  on conflict do nothing`

// Unless it was done already, and only the answer was lost.
const REKEY = `
  update public.peer_mentor_profiles as profile
  set id = $2, status = case status when 'active' then 'paused' else 'active' end
  where id = $1 and not exists (select from public.peer_mentor_profiles taken where taken.id = $2)
  returning pg_current_xact_id()::text as transaction`

const flip = async (client: Client, mentor: string): Promise<string | undefined> => {
  const { rows } = await client.query<{ transaction: string }>({ name: "flip", text: FLIP, values: [mentor] })
  return rows[0]?.transaction
}

const within = async <A>(
  client: Client,
  end: "commit" | "rollback",
  work: () => Promise<A>,
  isolation = "read committed"
): Promise<A> => {
  await client.query(`begin isolation level ${isolation}`)
  const result = await work()
  await client.query(end)
  return result
}

const flipEach = async (client: Client, mentors: ReadonlyArray<string>): Promise<string | undefined> => {
  let transaction: string | undefined
  for (const mentor of mentors) transaction = await flip(client, mentor)
  return transaction
}

const insert = (client: Client, mentor: NewMentor, flips: number): Promise<string | undefined> =>
  within(client, "commit", async () => {
    await client.query(INSERT_MENTORS, [JSON.stringify([mentor])])
    return flipEach(
      client,
      Array.from({ length: flips }, () => mentor.id)
    )
  })

const rekey = (client: Client, mentor: NewMentor, newId: string): Promise<string | undefined> =>
  within(client, "commit", async () => {
    await client.query(INSERT_MENTORS, [JSON.stringify([mentor])])
    await client.query(MOVE_COORDINATORS, [mentor.id, newId])
    return (await client.query<{ transaction: string }>(REKEY, [mentor.id, newId])).rows[0]?.transaction
  })

/** Does one operation; the id of its transaction when that changed something. */
const perform = async (client: Client, operation: Operation): Promise<string | undefined> => {
  switch (operation.kind) {
    case "flip":
      return flip(client, operation.mentor)
    case "serializable":
      return within(client, "commit", () => flip(client, operation.mentor), "serializable")
    case "rekey":
      return rekey(client, operation.mentor, operation.newId)
    case "unchanged":
      return void (await client.query(UNCHANGED, [operation.mentor]))
    case "touch":
      return void (await client.query(TOUCH, [operation.mentor]))
    case "word":
      return void (await client.query(WORD, [operation.mentor, operation.word]))
    case "insert":
      return insert(client, operation.mentor, operation.flips)
    case "bulk":
      return (await client.query<{ transaction: string }>(FLIP_MANY, [operation.mentors])).rows[0]?.transaction
    case "transaction":
    case "rollback":
      return within(client, operation.kind === "rollback" ? "rollback" : "commit", async () => {
        const transaction = await flipEach(client, operation.mentors)
        if (operation.pauseSeconds > 0) await client.query("select pg_sleep($1)", [operation.pauseSeconds])
        return transaction
      })
    case "savepoint":
      return within(client, "commit", async () => {
        const kept = Math.ceil(operation.mentors.length / 2)
        const transaction = await flipEach(client, operation.mentors.slice(0, kept))
        await client.query("savepoint halfway")
        await flipEach(client, operation.mentors.slice(kept))
        await client.query("rollback to savepoint halfway")
        return transaction
      })
  }
}

const LOOK_AGAIN_MILLISECONDS = 20

export interface WriterOptions {
  readonly session: Session
  readonly operations: Iterable<Operation>
  readonly load: Load
  readonly events: number
  /** Whether the system has caught up far enough for another change. */
  readonly mayWrite: () => boolean
  readonly signal: AbortSignal
}

/** Writes until enough transitions are committed. */
export const write = async ({ events, load, mayWrite, operations, session, signal }: WriterOptions): Promise<void> => {
  for (const operation of operations) {
    while (!mayWrite() && load.changes < events && !signal.aborted) await wait(LOOK_AGAIN_MILLISECONDS)
    if (load.changes >= events || signal.aborted) return
    const transaction = await session.retrying((client) => perform(client, operation))
    if (transaction !== undefined) load.commits.set(transaction, performance.timeOrigin + performance.now())
    load.changes += changesOf(operation)
    load.operations.set(operation.kind, (load.operations.get(operation.kind) ?? 0) + 1)
  }
}
