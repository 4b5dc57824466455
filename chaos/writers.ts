import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { changesOf, firstHalf, type Move, type NewMentor, type Operation, planOperations, type World } from "./plan.ts"
import type { Random } from "./random.ts"
import type { Session } from "./Session.ts"

/** When the writer saw each transaction commit, by transaction id. Milliseconds since 1970. */
type Commits = Map<string, number>

export interface Load {
  readonly commits: Commits
  /** Committed transitions, as far as the writers know. */
  changes: number
  readonly operations: Map<string, number>
}

const FLIP = `
  update public.peer_mentor_profiles
  set status = case status when 'active' then 'paused' else 'active' end, updated_at = clock_timestamp()
  where id = $1
  returning pg_current_xact_id()::text as transaction`

// Locks the rows in one order first. An UPDATE locks many rows in any order, and would deadlock with another one.
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

// "On conflict", because an earlier attempt may have been committed although its reply was lost.
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

// Unless it is done already, and only the reply was lost.
const REKEY = `
  update public.peer_mentor_profiles as profile
  set id = $2, status = case status when 'active' then 'paused' else 'active' end
  where id = $1 and not exists (select from public.peer_mentor_profiles taken where taken.id = $2)
  returning pg_current_xact_id()::text as transaction`

const MOVE = "update chaos.orders set stage = $2 where id = $1 returning pg_current_xact_id()::text as transaction"
const NOTE = "update chaos.orders set note = $2 where id = $1"
const DELETE_ORDER = "delete from chaos.orders where id = $1"

const UPSERT = `
  insert into chaos.orders (id, stage) values ($1, $2)
  on conflict (id) do update set stage = excluded.stage
  returning pg_current_xact_id()::text as transaction`

const INSERT_ORDER =
  "insert into chaos.orders (stage) values ($1) returning id, pg_current_xact_id()::text as transaction"

const MOVE_MANY = `
  with locked as materialized (select id from chaos.orders where id = any($1::bigint[]) order by id for update)
  update chaos.orders as o set stage = $2 from locked where o.id = locked.id
  returning pg_current_xact_id()::text as transaction`

/** Runs a statement that returns the transaction it ran in; undefined if it changed no row. */
export const transactionOf = async (
  client: Client,
  text: string,
  values: ReadonlyArray<unknown>
): Promise<string | undefined> => (await client.query<{ transaction: string }>(text, [...values])).rows[0]?.transaction

export const flip = async (client: Client, mentor: string): Promise<string | undefined> => {
  const { rows } = await client.query<{ transaction: string }>({ name: "flip", text: FLIP, values: [mentor] })
  return rows[0]?.transaction
}

export const within = async <A>(
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

const moveEach = async (client: Client, moves: ReadonlyArray<Move>): Promise<string | undefined> => {
  let transaction: string | undefined
  for (const { order, stage } of moves) transaction = await transactionOf(client, MOVE, [order, stage])
  return transaction
}

const insertOrder = (client: Client, [first, ...others]: ReadonlyArray<Move["stage"]>): Promise<string | undefined> =>
  within(client, "commit", async () => {
    const { rows } = await client.query<{ id: number; transaction: string }>(INSERT_ORDER, [first])
    await moveEach(
      client,
      rows.flatMap(({ id }) => others.map((stage) => ({ order: id, stage })))
    )
    return rows[0]?.transaction
  })

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
    return transactionOf(client, REKEY, [mentor.id, newId])
  })

/** The work of the writers. */
export interface Work<Op extends { readonly kind: string }> {
  /** A writer's operations, endlessly. */
  readonly operations: (random: Random, largestBulk: number) => Iterable<Op>
  /** Runs an operation. Returns the id of its transaction if that changed something. */
  readonly perform: (client: Client, operation: Op) => Promise<string | undefined>
  /** The changes that an operation should commit. */
  readonly changesOf: (operation: Op) => number
}

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
      return transactionOf(client, FLIP_MANY, [operation.mentors])
    case "bulk move":
      return transactionOf(client, MOVE_MANY, [operation.orders, operation.stage])
    case "move":
      return moveEach(client, [operation.move])
    case "note":
      return void (await client.query(NOTE, [operation.move.order, operation.move.stage]))
    case "upsert":
      return transactionOf(client, UPSERT, [operation.move.order, operation.move.stage])
    case "replace":
      return within(client, "commit", async () => {
        await client.query(DELETE_ORDER, [operation.move.order])
        // Another writer may have put it back already.
        return transactionOf(client, UPSERT, [operation.move.order, operation.move.stage])
      })
    case "order":
      return insertOrder(client, operation.stages)
    case "transaction":
    case "rollback":
      return within(client, operation.kind === "rollback" ? "rollback" : "commit", async () => {
        const transaction = await flipEach(client, operation.mentors)
        await moveEach(client, operation.moves)
        if (operation.pauseSeconds > 0) await client.query("select pg_sleep($1)", [operation.pauseSeconds])
        return transaction
      })
    case "savepoint":
      return within(client, "commit", async () => {
        const [mentors, moves] = [firstHalf(operation.mentors), firstHalf(operation.moves)]
        const transaction = await flipEach(client, mentors)
        await moveEach(client, moves)
        await client.query("savepoint halfway")
        await flipEach(client, operation.mentors.slice(mentors.length))
        await moveEach(client, operation.moves.slice(moves.length))
        await client.query("rollback to savepoint halfway")
        return transaction
      })
  }
}

const LOOK_AGAIN_MILLISECONDS = 20

/** The work of a run without the examples. */
export const productWork = (world: World): Work<Operation> => ({
  operations: (random, largestBulk) => planOperations(random, world, largestBulk),
  perform,
  changesOf
})

export interface WriterOptions<Op extends { readonly kind: string }> extends Omit<Work<Op>, "operations"> {
  readonly session: Session
  readonly operations: Iterable<Op>
  readonly load: Load
  readonly events: number
  /** Whether the system has caught up enough for another change. */
  readonly mayWrite: () => boolean
  readonly signal: AbortSignal
}

/** Writes until enough transitions have been committed. */
export const write = async <Op extends { readonly kind: string }>({
  changesOf,
  events,
  load,
  mayWrite,
  operations,
  perform,
  session,
  signal
}: WriterOptions<Op>): Promise<void> => {
  for (const operation of operations) {
    while (!mayWrite() && load.changes < events && !signal.aborted) await wait(LOOK_AGAIN_MILLISECONDS)
    if (load.changes >= events || signal.aborted) return
    const transaction = await session.retrying((client) => perform(client, operation))
    if (transaction !== undefined) load.commits.set(transaction, performance.timeOrigin + performance.now())
    load.changes += changesOf(operation)
    load.operations.set(operation.kind, (load.operations.get(operation.kind) ?? 0) + 1)
  }
}
