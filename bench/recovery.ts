// How fast does a backlog drain after an outage, and what does a sweep cost meanwhile?
import { setTimeout as wait } from "node:timers/promises"
import { type Ask, expectEqual } from "./harness/question.ts"
import { figure, median, rounded } from "./harness/statistics.ts"
import { idle, startWorld, type World } from "./world/world.ts"

const LOOK_AGAIN_MILLISECONDS = 100
const WATCHED_SECONDS = 30
const SWEEPS = 5

// An outage leaves due events of so many mentors, each with a coordinator.
const FILL = `
  with mentor as materialized (
    select gen_random_uuid() as id, gen_random_uuid() as event_id, clock_timestamp() as moment
    from generate_series(1, $1)
  ), linked as (
    insert into public.mentor_coordinators (mentor_id, coordinator_id)
    select m.id, (select id from public.coordinators limit 1) from mentor m
  ), known as (
    insert into outbox.keys (topic, key, version, known)
    select 'pause-status', m.id::text, 1, '{"status": "paused"}' from mentor m
  )
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, next_attempt_at
  )
  select
    m.event_id, 'pause-status', m.id::text, 1, 'UPDATE', jsonb_build_object('id', m.id, 'status', 'paused'),
    jsonb_build_object('id', m.id, 'status', 'active'), m.moment, 'outbox', now()
  from mentor m`

const completed = async ({ client }: World): Promise<number> => {
  const { rows } = await client.query<{ count: number }>(
    "select count(*)::int as count from outbox.events where status = 'completed'"
  )
  return rows[0]?.count ?? 0
}

/** Fills the outbox. Times a sweep before the commit, while nothing else can see the events. **Units** milliseconds. */
const fill = async ({ client }: World, backlog: number): Promise<number> => {
  await client.query("begin")
  await client.query(FILL, [backlog])
  const times: Array<number> = []
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    await client.query("savepoint filled")
    const started = performance.now()
    await client.query("select outbox.sweep()")
    times.push(performance.now() - started)
    await client.query("rollback to filled")
  }
  await client.query("commit")
  return median(times)
}

const recover = async (world: World, backlog: number) => {
  const before = await completed(world)
  const sweepMs = await fill(world, backlog)
  const started = performance.now()
  let [done, seconds] = [0, 0]
  while (done < backlog && seconds < WATCHED_SECONDS) {
    await wait(LOOK_AGAIN_MILLISECONDS)
    done = (await completed(world)) - before
    seconds = (performance.now() - started) / 1_000
  }
  // The next round starts without what is left.
  await world.client.query("delete from outbox.events where status = 'pending' and delivery_id is null")
  await idle(world)
  const { rows } = await world.client.query<{ twice: number }>(
    "select count(*)::int - count(distinct event_id)::int as twice from public.notifications"
  )
  expectEqual("events notified twice", rows[0]?.twice, 0)
  return {
    backlog,
    notified: done,
    seconds: rounded(seconds),
    perSecond: Math.round(done / seconds),
    sweepMs: rounded(sweepMs)
  }
}

export const ask: Ask = async ({ quick, say }) => {
  await using world = await startWorld(1)
  await world.client.query("delete from public.coordinators where id <> (select id from public.coordinators limit 1)")
  const figures: Array<Awaited<ReturnType<typeof recover>>> = []
  // The first one includes the handler's start.
  await recover(world, 500)
  for (const backlog of quick ? [1_000, 20_000] : [1_000, 10_000, 100_000, 1_000_000]) {
    const row = await recover(world, backlog)
    say(`${backlog}: ${row.perSecond} a second`)
    figures.push(row)
  }
  const [smallest] = figures
  const largest = figures.at(-1)
  return {
    budgets: [
      {
        what: "events a second from the largest backlog",
        found: largest?.perSecond ?? 0,
        atLeast: 2_000,
        unit: "rows"
      },
      {
        what: "a sweep, largest backlog ÷ smallest",
        found: (largest?.sweepMs ?? Number.NaN) / (smallest?.sweepMs ?? Number.NaN),
        atMost: 1.5,
        unit: "×"
      }
    ],
    figures,
    tables: [
      {
        title: `A backlog after an outage, watched for ${WATCHED_SECONDS} s at most`,
        head: ["due events", "notified", "in", "a second", "a sweep"],
        rows: figures.map((row) => [
          row.backlog.toLocaleString("en"),
          row.notified.toLocaleString("en"),
          `${figure(row.seconds)} s`,
          row.perSecond.toLocaleString("en"),
          `${figure(row.sweepMs)} ms`
        ])
      }
    ]
  }
}
