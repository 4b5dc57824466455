// What do an UPDATE that changes no status and a claim cost, with and without PostgreSQL's compiled plans?
import type { Client } from "pg"
import { debianBinaries } from "../local/postgres/debian.ts"
import { type Ask, type Budget, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import { createMentors, flip, startDatabaseOn, takeSent } from "./world/database.ts"

interface Way {
  readonly name: string
  readonly jit: "on" | "off"
  readonly triggers: "enable" | "disable"
  /** The setting for our functions that steer the planner. */
  readonly functions: "set jit = off" | "reset jit"
}

const NONE: Way = { name: "triggers disabled", jit: "off", triggers: "disable", functions: "set jit = off" }
const OFF: Way = { name: "jit off", jit: "off", triggers: "enable", functions: "set jit = off" }
const ON: Way = { name: "jit on", jit: "on", triggers: "enable", functions: "set jit = off" }
const UNGUARDED: Way = {
  name: "jit on, functions without set jit = off",
  jit: "on",
  triggers: "enable",
  functions: "reset jit"
}
const WAYS = [NONE, OFF, ON, UNGUARDED]

const MENTORS = 5_000
const SINGLES = 200
const CLAIMS = 20

const alterFunctions = (change: Way["functions"]): string => `
  do $$
  declare
    name text;
  begin
    for name in
      select p.oid::regprocedure from pg_proc p
      where p.pronamespace in ('outbox'::regnamespace, 'public'::regnamespace) and p.proconfig::text ~ 'enable_|plan_cache_mode|jit'
    loop
      execute 'alter function ' || name || ' ${change}';
    end loop;
  end $$`

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

const rename = (client: Client, id: string) =>
  client.query({
    name: "rename",
    text: "update public.peer_mentor_profiles set full_name = full_name || '.' where id = $1",
    values: [id]
  })

/** Times claims of one event each. NaN if nothing is captured. Leaves the profiles and the queue as they were. */
const claimsOf = async (client: Client, ids: ReadonlyArray<string>): Promise<number> => {
  await flip(client, "public.peer_mentor_profiles", ids)
  const events = await takeSent(client)
  const claimsMs = await timed(async () => {
    for (const event of events) {
      await client.query("select public.outbox_claim($1::jsonb)", [JSON.stringify([event])])
    }
  })
  const { rows } = await client.query("select count(*)::int as count from outbox.events where claim_token > 0")
  expectEqual("events claimed", rows, [{ count: events.length }])
  await flip(client, "public.peer_mentor_profiles", ids)
  await takeSent(client)
  await client.query("truncate outbox.events cascade")
  return events.length === ids.length ? claimsMs : Number.NaN
}

/** One round, in a session that has made both changes before. */
const round = async (client: Client, way: Way, ids: ReadonlyArray<string>) => {
  await client.query(alterFunctions(way.functions))
  await client.query(`alter table public.peer_mentor_profiles ${way.triggers} trigger user; set jit = ${way.jit}`)
  const singles = async () => {
    for (const id of ids.slice(0, SINGLES)) await rename(client, id)
  }
  const bulk = () => client.query("update public.peer_mentor_profiles set full_name = left(full_name, 10)")
  await singles()
  await bulk()
  await client.query("vacuum analyze public.peer_mentor_profiles")
  const singlesMs = await timed(singles)
  await client.query("vacuum public.peer_mentor_profiles")
  const bulkMs = await timed(bulk)
  await client.query("vacuum public.peer_mentor_profiles")
  const { rows } = await client.query("select count(*)::int as count from outbox.events")
  expectEqual("events queued", rows, [{ count: 0 }])
  return { singlesMs, bulkMs, claimsMs: await claimsOf(client, ids.slice(0, CLAIMS)) }
}

export const ask: Ask = async ({ quick, say }) => {
  await using database = await startDatabaseOn(
    { binaries: await debianBinaries(), settings: { jit: "on" } },
    "postgres"
  )
  const client = await database.open({ superuser: true })
  const { rows } = await client.query("select pg_jit_available() as available")
  expectEqual("PostgreSQL has LLVM", rows, [{ available: true }])
  const ids = await createMentors(client, MENTORS)
  await client.query("vacuum analyze public.peer_mentor_profiles")
  const samples = await interleaved(WAYS, quick ? 3 : 9, async (way) => {
    const session = await database.open()
    const found = await round(session, way, ids)
    await session.end()
    return found
  })
  say("measured")
  const figures = WAYS.map((way) => {
    const some = samples.get(way) ?? []
    return {
      way: way.name,
      singlesMs: rounded(median(some.map(({ singlesMs }) => singlesMs))),
      bulkMs: rounded(median(some.map(({ bulkMs }) => bulkMs))),
      claimsMs: rounded(median(some.map(({ claimsMs }) => claimsMs)))
    }
  })
  const of = (way: Way) =>
    figures.find(({ way: name }) => name === way.name) ?? { singlesMs: NaN, bulkMs: NaN, claimsMs: NaN }
  const [singles, bulk, claims] = [
    `${SINGLES} UPDATEs of full_name`,
    `one UPDATE of ${MENTORS.toLocaleString("en")} full_names`,
    `${CLAIMS} claims`
  ]
  const budget = (
    what: string,
    over: Way,
    under: Way,
    measure: "singlesMs" | "bulkMs" | "claimsMs",
    atMost: number
  ): Budget => ({
    what: `${what}, ${over.name} ÷ ${under.name}`,
    found: of(over)[measure] / of(under)[measure],
    atMost,
    unit: "×"
  })
  return {
    budgets: [
      budget(singles, ON, OFF, "singlesMs", 1.2),
      budget(bulk, ON, OFF, "bulkMs", 1.2),
      budget(claims, ON, OFF, "claimsMs", 1.2),
      budget(singles, OFF, NONE, "singlesMs", 1.1),
      budget(bulk, OFF, NONE, "bulkMs", 1.1)
    ],
    figures,
    tables: [
      {
        title: "On Debian's PostgreSQL 15, which has LLVM: medians",
        head: ["", singles, "× no trigger", bulk, "× no trigger", claims, "× jit off"],
        rows: figures.map(({ bulkMs, claimsMs, singlesMs, way }) => [
          way,
          `${figure(singlesMs)} ms`,
          ratio(singlesMs, of(NONE).singlesMs),
          `${figure(bulkMs)} ms`,
          ratio(bulkMs, of(NONE).bulkMs),
          Number.isNaN(claimsMs) ? "–" : `${figure(claimsMs)} ms`,
          Number.isNaN(claimsMs) ? "–" : ratio(claimsMs, of(OFF).claimsMs)
        ])
      }
    ]
  }
}
