// What does an UPDATE of the profiles cost where PostgreSQL compiles its plans, and where it does not?
import type { Client } from "pg"
import { debianBinaries } from "../local/postgres/debian.ts"
import { type Ask, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import { createMentors, startDatabaseOn, takeSent } from "./world/database.ts"

interface Way {
  readonly jit: "on" | "off"
  readonly triggers: "ours" | "ours, without set jit = off" | "none"
}

const OFF: Way = { jit: "off", triggers: "ours" }
const ON: Way = { jit: "on", triggers: "ours" }
const WAYS: ReadonlyArray<Way> = [
  OFF,
  ON,
  { jit: "on", triggers: "ours, without set jit = off" },
  { jit: "on", triggers: "none" }
]

const forFunctions = (change: string, config: string): string => `
  do $$
  declare
    ours text;
  begin
    for ours in
      select p.oid::regprocedure from pg_proc p
      where p.pronamespace in ('pause_status'::regnamespace, 'public'::regnamespace) and ${config}
    loop
      execute 'alter function ' || ours || ' ${change}';
    end loop;
  end $$`

const MENTORS = 5_000
const SINGLE = 200
const CLAIMS = 20
const MEASURES = [
  { of: "namesMs", what: `${SINGLE} updates of full_name` },
  { of: "statusMs", what: `UPDATE of ${MENTORS} rows` },
  { of: "claimsMs", what: `${CLAIMS} claims of 1` }
] as const
const FLIP = "status = case status when 'active' then 'paused' else 'active' end"

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** One round in a session of its own, as a writer has it. */
const round = async (client: Client, { jit, triggers }: Way, ids: ReadonlyArray<string>) => {
  await client.query(`
    set jit = ${jit};
    alter table public.peer_mentor_profiles ${triggers === "none" ? "disable" : "enable"} trigger user`)
  const steered = "p.proconfig::text ~ 'enable_|plan_cache_mode'"
  if (triggers === "ours, without set jit = off") await client.query(forFunctions("reset jit", steered))
  const namesMs = await timed(async () => {
    for (const id of ids.slice(0, SINGLE)) {
      await client.query("update public.peer_mentor_profiles set full_name = full_name || '.' where id = $1", [id])
    }
  })
  const statusMs = await timed(() => client.query(`update public.peer_mentor_profiles set ${FLIP}`))
  const { rows } = await client.query("select count(*)::int as count from pause_status.webhook_queue")
  expectEqual("events queued", rows, [{ count: triggers === "none" ? 0 : MENTORS }])
  const events = (await takeSent(client)).slice(0, CLAIMS)
  const claimsMs = await timed(async () => {
    for (const event of events) {
      await client.query("select public.pause_status_claim($1::jsonb)", [JSON.stringify([event])])
    }
  })
  const claimed = await client.query(
    "select count(*)::int as count from pause_status.webhook_queue where claim_token > 0"
  )
  expectEqual("events claimed", claimed.rows, [{ count: triggers === "none" ? 0 : CLAIMS }])
  await client.query(forFunctions("set jit = off", steered))
  await client.query(`
    alter table public.peer_mentor_profiles disable trigger user;
    update public.peer_mentor_profiles set status = 'active';
    update pause_status.mentor_states set known_status = 'active';
    truncate pause_status.webhook_queue, net.http_request_queue cascade`)
  await client.query("vacuum analyze public.peer_mentor_profiles, pause_status.mentor_states")
  return { namesMs, statusMs, claimsMs }
}

export const ask: Ask = async ({ quick, say }) => {
  await using database = await startDatabaseOn(
    { binaries: await debianBinaries(), settings: { jit: "on" } },
    "postgres"
  )
  const client = await database.open()
  const { rows } = await client.query("select pg_jit_available() as available")
  expectEqual("PostgreSQL has LLVM", rows, [{ available: true }])
  const ids = await createMentors(client, MENTORS)
  const samples = await interleaved(WAYS, quick ? 2 : 5, async (way) => {
    const session = await database.open()
    const found = await round(session, way, ids)
    await session.end()
    say(`jit ${way.jit}, triggers: ${way.triggers}: measured`)
    return found
  })
  const mediansOf = (way: Way) => {
    const some = samples.get(way) ?? []
    return {
      namesMs: rounded(median(some.map(({ namesMs }) => namesMs))),
      statusMs: rounded(median(some.map(({ statusMs }) => statusMs))),
      claimsMs: rounded(median(some.map(({ claimsMs }) => claimsMs)))
    }
  }
  const figures = WAYS.map((way) => Object.assign(mediansOf(way), way))
  const [without, found] = [mediansOf(OFF), mediansOf(ON)]
  const shown = (row: (typeof figures)[number], of: keyof typeof without) =>
    row.triggers === "none" && of === "claimsMs" ? ["–", "–"] : [`${figure(row[of])} ms`, ratio(row[of], without[of])]
  return {
    budgets: MEASURES.map(({ of, what }) => ({
      what: `${what}: jit on ÷ off`,
      found: found[of] / without[of],
      atMost: 1.5,
      unit: "×"
    })),
    figures,
    tables: [
      {
        title: "On Debian's PostgreSQL 15, which has LLVM: medians",
        head: ["jit", "triggers"].concat(MEASURES.flatMap(({ what }) => [what, "× jit off"])),
        rows: figures.map((row) =>
          Array.of<string>(row.jit, row.triggers).concat(MEASURES.flatMap(({ of }) => shown(row, of)))
        )
      }
    ]
  }
}
