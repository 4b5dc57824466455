import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { buildFunctions } from "../../build.ts"
import { connect } from "../../local/postgres/connect.ts"
import { type Stack, startStack } from "../../local/stack.ts"
import { expectEqual } from "../harness/question.ts"
import { Told } from "./Told.ts"
import { createTutorialTable, startNotifier } from "./tutorial.ts"

/** The whole stack, with two coordinators per mentor, and the same mentors again for the tutorial's way. */
export interface World extends AsyncDisposable {
  readonly stack: Stack
  readonly client: Client
  readonly mentorIds: ReadonlyArray<string>
  readonly ours: Way
  readonly tutorial: Way
}

export interface Way {
  readonly told: Told
  /** Pauses active mentors and resumes the others, in one UPDATE with its own commit. */
  readonly change: (mentorIds: ReadonlyArray<string>) => Promise<void>
}

const COORDINATORS = 2

const SEED = `
  with coordinator as (
    insert into public.coordinators (name, email)
    select 'coordinator ' || n, 'coordinator' || n || '@example.org' from generate_series(1, ${COORDINATORS}) n
    returning id
  ), mentor as (
    insert into public.peer_mentor_profiles (status, full_name)
    select 'active', 'mentor ' || n from generate_series(1, $1) n
    returning id
  )
  insert into public.mentor_coordinators (mentor_id, coordinator_id)
  select mentor.id, coordinator.id from mentor cross join coordinator`

// NOTIFY is delivered at the commit, which is when a coordinator can first see the notification.
const ANNOUNCE = `
  create function public.bench_announce() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
  begin
    perform pg_notify('bench_told', (select string_agg(distinct mentor_id::text, ' ') from told));
    return null;
  end
  $$;
  create trigger bench_announce after insert on public.notifications
    referencing new table as told for each statement execute function public.bench_announce()`

const changeIn =
  (client: Client, table: string): Way["change"] =>
  async (mentorIds) => {
    await client.query(
      `update ${table} set status = case status when 'active' then 'paused' else 'active' end where id = any($1)`,
      [mentorIds]
    )
  }

export const startWorld = async (mentors: number): Promise<World> => {
  await using started = new AsyncDisposableStack()
  await buildFunctions()
  const stack = started.use(await startStack({ functionEnv: { LOG_LEVEL: "Error" } }))
  const open = async (name: string): Promise<Client> => {
    const client = await connect(stack.databaseUrl, name)
    started.defer(() => client.end())
    return client
  }
  const client = await open("bench")
  await client.query(SEED, [mentors])
  await client.query(ANNOUNCE)
  const { rows } = await client.query<{ id: string }>("select id from public.peer_mentor_profiles order by full_name")

  const ours = { told: new Told(), change: changeIn(client, "public.peer_mentor_profiles") }
  const ear = await open("bench ear")
  ear.on("notification", ({ payload = "" }) => {
    for (const mentorId of payload.split(" ").filter((word) => word !== "")) ours.told.tell(mentorId)
  })
  await ear.query("listen bench_told")

  const tutorial = { told: new Told(), change: changeIn(client, "public.tutorial_profiles") }
  const notifier = started.use(await startNotifier(tutorial.told))
  await createTutorialTable(client, notifier.url)
  await client.query("analyze")

  const kept = started.move()
  return {
    stack,
    client,
    mentorIds: rows.map(({ id }) => id),
    ours,
    tutorial,
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}

const LOOK_AGAIN_MILLISECONDS = 100
// pg_net's wait between two batches. A request that comes later finds an idle worker.
const PG_NET_REST_MILLISECONDS = 1_200

/** Waits until nothing is in progress, so that the next change finds an idle system. */
export const idle = async ({ client }: World): Promise<void> => {
  for (;;) {
    const { rows } = await client.query<{ busy: boolean }>(
      `select exists (select from outbox.events where status in ('pending', 'processing'))
         or exists (select from net.http_request_queue) as busy`
    )
    if (rows[0]?.busy !== true) break
    await wait(LOOK_AGAIN_MILLISECONDS)
  }
  await wait(PG_NET_REST_MILLISECONDS)
}

const COUNT = "select count(*)::int as count from public.notifications"

/** Runs some changes, and checks that each coordinator was notified of each once. */
export const toldOnce = async <A>(world: World, changes: number, run: () => Promise<A>): Promise<A> => {
  const count = async () => (await world.client.query<{ count: number }>(COUNT)).rows[0]?.count ?? 0
  const before = await count()
  const result = await run()
  expectEqual("notifications", (await count()) - before, changes * COORDINATORS)
  return result
}
