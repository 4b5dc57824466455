// Do the hot statements stay as cheap when the tables have grown?
import type { Client, Pool } from "pg"
import { explain, type Explained } from "./harness/explain.ts"
import { type Ask, type Budget, expectEqual } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, median, ratio, rounded } from "./harness/statistics.ts"
import { createMentors, flip, MOST_SENT_BY_THE_WRITER, startDatabase, takeSent } from "./world/database.ts"
import { claim, countOf, fillPending, fillSettled, settle } from "./world/settled.ts"

interface Size {
  readonly database: string
  readonly settled: number
  readonly pending: number
}

const THOUSAND: Size = { database: "settled_1e3", settled: 1_000, pending: 0 }
const SIZES = {
  quick: [THOUSAND, { database: "settled_2e4", settled: 20_000, pending: 0 }],
  full: [
    THOUSAND,
    { database: "settled_1e5", settled: 100_000, pending: 0 },
    { database: "settled_1e6", settled: 1_000_000, pending: 0 },
    { database: "pending_1e5", settled: 1_000, pending: 100_000 }
  ]
}
const BATCH = 100
const ROUNDS = { full: 25, quick: 5 }
// Below this size, a good planner reads the whole table.
const FEWEST_ROWS_TO_EXPLAIN = 20_000
// The first calls of a session make the plans that later ones reuse.
const WARM_UP = 3

interface Grown extends Size {
  readonly owner: Client
  readonly admin: Client
  readonly handler: Pool
  readonly mentorIds: ReadonlyArray<string>
}

const STATEMENTS = [
  "UPDATE of 1 and its dispatch",
  "claim of 1",
  "settle of 1",
  `claim of ${BATCH}`,
  `settle of ${BATCH}`,
  "sweep with nothing due"
] as const
type Milliseconds = Readonly<Record<(typeof STATEMENTS)[number], number>>

const timed = async <A>(work: () => Promise<A>): Promise<readonly [ms: number, result: A]> => {
  const began = performance.now()
  const result = await work()
  return [performance.now() - began, result]
}

const events = async ({ handler, owner }: Grown, mentorIds: ReadonlyArray<string>) => {
  let changeMs = 0
  for (let from = 0; from < mentorIds.length; from += MOST_SENT_BY_THE_WRITER) {
    const some = mentorIds.slice(from, from + MOST_SENT_BY_THE_WRITER)
    const { commitMs, updateMs } = await flip(owner, "public.peer_mentor_profiles", some)
    changeMs += updateMs + commitMs
  }
  const sent = await takeSent(owner)
  expectEqual("events sent", sent.length, mentorIds.length)
  const [claimMs, claims] = await timed(() => claim(handler, sent))
  expectEqual("events claimed", countOf(claims, "claimed"), mentorIds.length)
  const [settleMs, settled] = await timed(() => settle(handler, claims))
  expectEqual("events completed", countOf(settled, "completed"), mentorIds.length)
  return { changeMs, claimMs, settleMs }
}

const round = async (grown: Grown): Promise<Milliseconds> => {
  const one = await events(grown, grown.mentorIds.slice(0, 1))
  const many = await events(grown, grown.mentorIds.slice(1))
  const [sweepMs] = await timed(() => grown.owner.query("select outbox.sweep()"))
  return {
    "UPDATE of 1 and its dispatch": one.changeMs,
    "claim of 1": one.claimMs,
    "settle of 1": one.settleMs,
    [`claim of ${BATCH}`]: many.claimMs,
    [`settle of ${BATCH}`]: many.settleMs,
    "sweep with nothing due": sweepMs
  }
}

const plansOf = ({ admin, mentorIds, database, settled, pending }: Grown) =>
  explain(
    admin,
    `${database}: ${settled.toLocaleString("en")} settled, ${pending.toLocaleString("en")} pending`,
    async () => {
      await flip(admin, "public.peer_mentor_profiles", mentorIds.slice(0, 1))
      await settle(admin, await claim(admin, await takeSent(admin)))
      await admin.query("select outbox.sweep()")
    }
  )

const summary = ({ database, pending, settled }: Size, samples: ReadonlyArray<Milliseconds>) => ({
  database,
  settled,
  pending,
  ms: Object.fromEntries(STATEMENTS.map((name) => [name, rounded(median(samples.map((sample) => sample[name])))]))
})

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const nameOf = ({ pending, settled }: Pick<Size, "pending" | "settled">): string =>
  `${settled.toLocaleString("en")} settled${pending > 0 ? `, ${pending.toLocaleString("en")} pending` : ""}`

const plotOf = (figures: Figures) => ({
  name: "table-size",
  title: "Cost of the hot statements against the size of the queue",
  option: {
    xAxis: { type: "category" as const, name: "rows in the queue", data: figures.map(nameOf) },
    yAxis: { type: "log" as const, name: "milliseconds, median" },
    series: STATEMENTS.map((name) => ({
      type: "line" as const,
      name,
      data: figures.map(({ ms }) => ms[name] ?? Number.NaN)
    }))
  }
})

const rowOf = (name: (typeof STATEMENTS)[number], figures: Figures): ReadonlyArray<string> => {
  const [first = Number.NaN, ...others] = figures.map(({ ms }) => ms[name] ?? Number.NaN)
  return [name, `${figure(first)} ms`, ...others.map((ms) => `${ratio(ms, first)} (${figure(ms)} ms)`)]
}

// A page or two of a small table, such as the mentors.
const MOST_ROWS_IN_VAIN = 1_000

const budgetsOf = (figures: Figures, plans: ReadonlyArray<Explained>): ReadonlyArray<Budget> => [
  {
    what: "hot statements that read all of a table of events",
    found: plans.reduce((sum, { sequentialScans }) => sum + sequentialScans, 0),
    atMost: 0,
    unit: "statements"
  },
  {
    what: "rows that one hot statement reads in vain",
    found: Math.max(0, ...plans.map(({ rowsInVain }) => rowsInVain)),
    atMost: MOST_ROWS_IN_VAIN,
    unit: "rows"
  },
  ...STATEMENTS.map((name) => {
    const [first = Number.NaN, ...others] = figures.map(({ ms }) => ms[name] ?? Number.NaN)
    const what = `${name}, worst ÷ smallest queue`
    return { what, found: Math.max(...others) / first, atMost: 1.3, unit: "×" } as const
  })
]

export const ask: Ask = async ({ quick, say }) => {
  const size = quick ? "quick" : "full"
  const sizes = SIZES[size]
  await using database = await startDatabase(...sizes.map(({ database }) => database))
  const grown: Array<Grown> = []
  for (const some of sizes) {
    const owner = await database.open({ database: some.database })
    const admin = await database.open({ database: some.database, superuser: true })
    await fillSettled(admin, some.settled)
    if (some.pending > 0) await fillPending(admin, some.pending)
    await admin.query("vacuum analyze")
    const mentorIds = await createMentors(owner, BATCH + 1)
    grown.push({ ...some, owner, admin, handler: database.serviceRole(some.database, 1), mentorIds })
    say(`${nameOf(some)}: filled`)
  }
  for (let turn = 0; turn < WARM_UP; turn++) for (const one of grown) await round(one)
  const samples = await interleaved(grown, ROUNDS[size], round)
  const figures = [...samples].map(([one, some]) => summary(one, some))
  const plans: Array<Explained> = []
  for (const one of grown) {
    if (one.settled + one.pending >= FEWEST_ROWS_TO_EXPLAIN) plans.push(await plansOf(one))
  }
  return {
    budgets: budgetsOf(figures, plans),
    figures,
    tables: [
      {
        title: "Hot statements against the size of the queue, medians",
        head: ["statement", ...figures.map(nameOf)],
        rows: STATEMENTS.map((name) => rowOf(name, figures))
      }
    ],
    plots: [plotOf(figures)],
    appendices: [{ name: "plans", text: plans.map(({ text }) => text).join("\n\n") }]
  }
}
