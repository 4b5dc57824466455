import { setTimeout as wait } from "node:timers/promises"
import type pg from "pg"
import { withClient } from "../postgres/connect.ts"
import { type Stack, StackError } from "../stack.ts"
import { commands, NOTIFICATIONS } from "./commands.ts"
import type { Lifetime } from "./lifetime.ts"
import type { Logs } from "./Logs.ts"
import { readDeliveryLog } from "./handlerLog.ts"
import { mailsUntil, switchMailsOn } from "./mails.ts"
import { installObserver, observe } from "./observer.ts"
import { describeChange, describeDelivery, describeSteps } from "./report.ts"
import { bold, cyan, dim, indent, print } from "./screen.ts"
import { seed } from "./seed.ts"
import { table } from "./table.ts"
import { type Change, type Step, Timeline } from "./timeline.ts"

const FIRST_CHANGE_SECONDS = 120

/** Pauses one mentor before the reader's eyes, says what to try next, and shows every later change until the end. */
export const tour = async (stack: Stack, logs: Logs, lifetime: Lifetime): Promise<void> => {
  await using leaving = new AsyncDisposableStack()
  await installObserver(stack.databaseUrl)

  let first: Array<Step> | undefined = []
  const paused = new AbortController()
  const timeline = new Timeline((change: Change, steps: ReadonlyArray<Step>) => {
    if (first === undefined) return print(describeChange(change, steps))
    first.push(...steps)
    if (!steps.some(({ kind }) => kind === "completed")) return
    print(indent(describeSteps(change, first)))
    first = undefined
    paused.abort()
  })
  leaving.use(await observe(stack.databaseUrl, (seen) => timeline.observe(seen)))
  leaving.defer(
    logs.listen(({ source, text }) => {
      const log = source === "handler" ? readDeliveryLog(text) : undefined
      if (log?.eventId !== undefined) timeline.delivered(log)
      else if (log !== undefined) print(describeDelivery(log))
      else if (source === "stack") print(dim(text))
    })
  )

  const mentors = await withClient(stack.databaseUrl, async (client) => {
    await switchMailsOn(client)
    const mentors = await seed(client)
    const [mentor] = mentors
    print(`\n${bold("Three mentors, each with two of three coordinators. One of them is paused in plain SQL:")}\n`)
    print(`  update peer_mentor_profiles set status = 'paused' where full_name = '${mentor.name}'\n`)
    const before = performance.now()
    await client.query("update peer_mentor_profiles set status = 'paused' where full_name = $1", [mentor.name])
    const answered = performance.now() - before
    await within(FIRST_CHANGE_SECONDS, paused.signal, lifetime.signal)
    if (lifetime.signal.aborted) return mentors
    print(
      dim(`
  Measured, since the commit: by PostgreSQL's clock, in triggers that only this tour installs; the
  ~ is from the handler's log, which has whole milliseconds. The first run of everything is the
  slowest. The writer's own UPDATE took ${answered.toFixed(1)} ms and waited for nothing of this.`)
    )
    print(`\n${bold("What the orchestrator wrote:")}\n`)
    print(indent(await queryTable(client, NOTIFICATIONS)))
    const mails = await mailsUntil(stack, lifetime.signal, { count: 2 })
    print(`\n${bold("What was mailed, to a stand-in for Resend:")}\n`)
    print(
      indent(
        table(
          ["to", "subject"],
          mails.map(({ subject, to }) => [to, subject]),
          { styleHead: dim }
        )
      )
    )
    print(dim(`\n  Look at them on ${stack.resendUrl}`))
    return mentors
  })
  if (lifetime.signal.aborted) return

  const [, second, third] = mentors
  print(`\n${bold("Your turn, in another terminal:")}\n`)
  print(commands(stack, second, third).replace(/^#.*$/gm, cyan))
  print(`\n${bold("Every change shows up below, whoever makes it.")} Ctrl-C stops everything and removes the data.`)
  print(dim("While changes keep coming, pg_net sends their webhooks once a second; the first goes at once.\n"))
  await lifetime.ended
}

/** Waits for the first of the signals; it fails when neither comes in time. */
const within = async (seconds: number, ...signals: ReadonlyArray<AbortSignal>): Promise<void> => {
  const signal = AbortSignal.any([...signals])
  await wait(seconds * 1_000, undefined, { signal }).catch(() => {})
  if (!signal.aborted)
    throw new StackError(`No change was completed within ${seconds} s; --verbose says what happened.`)
}

const queryTable = async (client: pg.Client, sql: string): Promise<string> => {
  const { fields, rows } = await client.query<Array<unknown>>({ text: sql, rowMode: "array" })
  return table(
    fields.map(({ name }) => name),
    rows.map((row) => row.map((value) => (value === null ? "" : String(value)))),
    { styleHead: dim }
  )
}
