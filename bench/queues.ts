// How many events are claimed and settled per second, compared with dedicated queues?
import { Logger, makeWorkerUtils, runOnce } from "graphile-worker"
import { PgBoss } from "pg-boss"
import type { Client } from "pg"
import { type Ask, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import { createMentors, type Database, flip, startDatabase, takeSent } from "./world/database.ts"
import { claim, countOf, settle } from "./world/settled.ts"

const CLIENTS = [1, 8, 32]
const EVENTS = { full: 600, quick: 150 }
const BATCHED_EVENTS = { full: 10_000, quick: 1_000 }
const BATCH = 100
const BATCH_CLIENTS = 8
const ROUNDS = { full: 2, quick: 1 }
const NAME = "pause"

interface Load {
  readonly clients: number
  readonly batch: number
  readonly events: number
}

interface Queue {
  readonly name: string
  /** Queues the events in one transaction, then takes and completes them all. Fails unless each was completed once. */
  readonly run: (load: Load) => Promise<Sample>
}

interface Sample {
  readonly enqueueMs: number
  readonly perSecond: number
}

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** So many workers. Each takes the next piece of work until none is left. */
const inParallel = async (clients: number, work: () => Promise<boolean>): Promise<void> => {
  const worker = async (): Promise<void> => {
    while (await work());
  }
  await Promise.all(Array.from({ length: clients }, worker))
}

const ours = async (database: Database, client: Client, mentorIds: ReadonlyArray<string>): Promise<Queue> => ({
  name: "ours: claim and settle",
  run: async ({ batch, clients, events }) => {
    const { commitMs, updateMs } = await flip(client, "public.peer_mentor_profiles", mentorIds.slice(0, events))
    // After a large update, settlements dispatch these.
    await client.query("select outbox.dispatch_due('settled', $1)", [events])
    const sent = await takeSent(client)
    expectEqual("events sent", sent.length, events)
    const pool = database.serviceRole("postgres", clients)
    // Connected beforehand, like the others' pools.
    await Promise.all(Array.from({ length: clients }, () => pool.query("select pg_sleep(0.05)")))
    let next = 0
    let completed = 0
    const ms = await timed(() =>
      inParallel(clients, async () => {
        const events = sent.slice(next, (next += batch))
        if (events.length === 0) return false
        const answers = await settle(pool, await claim(pool, events))
        completed += countOf(answers, "completed")
        return true
      })
    )
    expectEqual("events completed", completed, events)
    return { enqueueMs: updateMs + commitMs, perSecond: (events * 1_000) / ms }
  }
})

const pgBoss = async (database: Database): Promise<Queue> => ({
  name: "pg-boss: fetch and complete",
  run: async ({ batch, clients, events }) => {
    const boss = new PgBoss({
      connectionString: database.urlOf("postgres"),
      schedule: false,
      supervise: false,
      max: clients
    })
    await boss.start()
    try {
      await boss.createQueue(NAME)
      const jobs = Array.from({ length: events }, (_, at) => ({ data: { mentorId: at, status: "paused" } }))
      const enqueueMs = await timed(() => boss.insert(NAME, jobs))
      let completed = 0
      const ms = await timed(() =>
        inParallel(clients, async () => {
          const taken = await boss.fetch(NAME, { batchSize: batch })
          if (taken.length === 0) return false
          await boss.complete(
            NAME,
            taken.map(({ id }) => id)
          )
          completed += taken.length
          return true
        })
      )
      expectEqual("jobs completed by pg-boss", completed, events)
      return { enqueueMs, perSecond: (events * 1_000) / ms }
    } finally {
      await boss.stop({ graceful: false })
    }
  }
})

const silent = new Logger(() => () => {})

const graphileWorker = async (database: Database): Promise<Queue> => {
  const connectionString = database.urlOf("postgres")
  return {
    name: "graphile-worker: run until empty",
    run: async ({ clients, events }) => {
      const utils = await makeWorkerUtils({ connectionString, logger: silent })
      try {
        await utils.migrate()
        const jobs = Array.from({ length: events }, (_, at) => ({
          identifier: NAME,
          payload: { mentorId: at, status: "paused" }
        }))
        const enqueueMs = await timed(() => utils.addJobs(jobs))
        let completed = 0
        const ms = await timed(() =>
          runOnce({
            connectionString,
            concurrency: clients,
            maxPoolSize: clients + 2,
            noHandleSignals: true,
            logger: silent,
            taskList: { [NAME]: () => void completed++ }
          })
        )
        expectEqual("jobs completed by graphile-worker", completed, events)
        return { enqueueMs, perSecond: (events * 1_000) / ms }
      } finally {
        await utils.release()
      }
    }
  }
}

const summary = ({ batch, clients, events }: Load, { name }: Queue, samples: ReadonlyArray<Sample>) => ({
  clients,
  batch,
  events,
  queue: name,
  perSecond: rounded(median(samples.map(({ perSecond }) => perSecond))),
  enqueueMs: rounded(median(samples.map(({ enqueueMs }) => enqueueMs)))
})

export const ask: Ask = async ({ quick, say }) => {
  const size = quick ? "quick" : "full"
  await using database = await startDatabase("postgres")
  const client = await database.open()
  const mentorIds = await createMentors(client, BATCHED_EVENTS[size])
  const [own, boss, graphile] = [
    await ours(database, client, mentorIds),
    await pgBoss(database),
    await graphileWorker(database)
  ]
  const loads = [
    ...CLIENTS.map((clients) => ({ clients, batch: 1, events: EVENTS[size], queues: [own, boss, graphile] })),
    { clients: BATCH_CLIENTS, batch: BATCH, events: BATCHED_EVENTS[size], queues: [own, boss] }
  ]
  const figures: Array<ReturnType<typeof summary>> = []
  for (const { queues, ...load } of loads) {
    const samples = await interleaved(queues, ROUNDS[size], (queue) => queue.run(load))
    for (const [queue, some] of samples) figures.push(summary(load, queue, some))
    say(`${load.clients} clients, ${load.batch} at a time: measured`)
  }
  return {
    figures,
    tables: [
      {
        title: "Taking and ending events on the same PostgreSQL, medians",
        head: ["clients", "at a time", "queue", "ours ÷ it", "per second", "queueing them all in one transaction"],
        rows: figures.map((row) => {
          const mine = figures.find(
            (other) => other.queue === own.name && other.clients === row.clients && other.batch === row.batch
          )
          return [
            String(row.clients),
            String(row.batch),
            row.queue,
            ratio(mine?.perSecond ?? Number.NaN, row.perSecond),
            figure(row.perSecond),
            `${row.events.toLocaleString("en")} in ${figure(row.enqueueMs)} ms`
          ]
        })
      }
    ]
  }
}
