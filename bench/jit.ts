// What does an UPDATE that changes no status cost, where PostgreSQL compiles its plans and where it does not?
import type { Client } from "pg"
import { debianBinaries } from "../local/postgres/debian.ts"
import { type Ask, type Budget, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import { createMentors, startDatabaseOn } from "./world/database.ts"

interface Way {
  readonly name: string
  readonly jit: "on" | "off"
  readonly triggers: "enable" | "disable"
  /** What our functions that steer the planner are altered to. */
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

const alterFunctions = (change: Way["functions"]): string => `
  do $$
  declare
    name text;
  begin
    for name in
      select p.oid::regprocedure from pg_proc p
      where p.pronamespace = 'pause_status'::regnamespace and p.proconfig::text ~ 'enable_|plan_cache_mode|jit'
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

/** One round of a session that has made both changes before. */
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
  const { rows } = await client.query("select count(*)::int as count from pause_status.webhook_queue")
  expectEqual("events queued", rows, [{ count: 0 }])
  return { singlesMs, bulkMs }
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
      bulkMs: rounded(median(some.map(({ bulkMs }) => bulkMs)))
    }
  })
  const of = (way: Way) => figures.find(({ way: name }) => name === way.name) ?? { singlesMs: NaN, bulkMs: NaN }
  const [singles, bulk] = [
    `${SINGLES} UPDATEs of full_name`,
    `one UPDATE of ${MENTORS.toLocaleString("en")} full_names`
  ]
  const budget = (what: string, over: Way, under: Way, measure: "singlesMs" | "bulkMs", atMost: number): Budget => ({
    what: `${what}, ${over.name} ÷ ${under.name}`,
    found: of(over)[measure] / of(under)[measure],
    atMost,
    unit: "×"
  })
  return {
    budgets: [
      budget(singles, ON, OFF, "singlesMs", 1.2),
      budget(bulk, ON, OFF, "bulkMs", 1.2),
      budget(singles, OFF, NONE, "singlesMs", 1.1),
      budget(bulk, OFF, NONE, "bulkMs", 1.1)
    ],
    figures,
    tables: [
      {
        title: "On Debian's PostgreSQL 15, which has LLVM: medians",
        head: ["", singles, "× no trigger", bulk, "× no trigger"],
        rows: figures.map(({ bulkMs, singlesMs, way }) => [
          way,
          `${figure(singlesMs)} ms`,
          ratio(singlesMs, of(NONE).singlesMs),
          `${figure(bulkMs)} ms`,
          ratio(bulkMs, of(NONE).bulkMs)
        ])
      }
    ]
  }
}
