import { setTimeout as wait } from "node:timers/promises"
import { withClient } from "../postgres/connect.ts"
import { type Stack, StackError } from "../stack.ts"
import type { Lifetime } from "./lifetime.ts"
import type { Logs } from "./Logs.ts"
import { readDeliveryLog } from "./handlerLog.ts"
import { mailsCompletedAt, mailsUntil, switchMailsOn } from "./mails.ts"
import { installObserver, observe } from "./observer.ts"
import { shortRecipes } from "./recipes.ts"
import { describeChange, describeDelivery, describeSteps, headline } from "./report.ts"
import { bold, cyan, dim, indent, print, screenWidth, showStatus } from "./screen.ts"
import { seed } from "./seed.ts"
import { wrap } from "./table.ts"
import { type Change, type Step, Timeline } from "./timeline.ts"

const FIRST_CHANGE_SECONDS = 120
const COMMAND_WIDTH = 24

/** Pauses a mentor step by step, says what to try next, and shows every later change until the end. */
export const tour = async (stack: Stack, logs: Logs, lifetime: Lifetime): Promise<void> => {
  await using leaving = new AsyncDisposableStack()
  await installObserver(stack.databaseUrl)

  let first: { change: Change; steps: ReadonlyArray<Step> } | undefined
  let isShown = false
  const paused = new AbortController()
  const timeline = new Timeline((change: Change, steps: ReadonlyArray<Step>) => {
    if (isShown) return print(describeChange(change, steps))
    first = { change, steps: [...(first?.steps ?? []), ...steps] }
    if (steps.some(({ kind }) => kind === "completed")) paused.abort()
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

  await withClient(stack.databaseUrl, async (client) => {
    await switchMailsOn(client)
    const [mentor] = await seed(client)
    showStatus(`Pausing ${mentor.name} …`)
    await client.query("update public.peer_mentor_profiles set status = 'paused' where full_name = $1", [mentor.name])
    await within(FIRST_CHANGE_SECONDS, paused.signal, lifetime.signal)
    if (lifetime.signal.aborted || first === undefined) return
    showStatus("Mailing the coordinators …")
    const mails = await mailsUntil(stack, lifetime.signal, { count: 2 })
    const at = await mailsCompletedAt(client, lifetime.signal, mails.length)
    const mailed = { at, who: "send-email", what: `mailed ${mails.map(({ to }) => to.replace(/@.*/, "")).join(", ")}` }
    const { change, steps } = first
    isShown = true
    print(bold(wrap(headline(change, steps), screenWidth()).join("\n")))
    print(`\n${indent(describeSteps(change, steps, [mailed]))}`)
  })
  if (lifetime.signal.aborted) return

  print(`\n${bold("Try these in another terminal, in this folder:")}`)
  for (const [command, why] of shortRecipes(stack.services.orchestrator.pid))
    print(`  ${describeCommand(command, why)}`)
  print(`\nConsole: ${stack.apiUrl}/\nMails:   ${stack.resendUrl}`)
  print(wrap("Changes appear below. Ctrl-C stops everything and removes the data.", screenWidth()).join("\n"))
  await lifetime.ended
}

const describeCommand = (command: string, why: string): string => {
  const line = `${command.padEnd(COMMAND_WIDTH)} # ${why}`
  if (why === "" || line.length + 2 > screenWidth()) return cyan(command)
  return `${cyan(line.slice(0, COMMAND_WIDTH))}${dim(line.slice(COMMAND_WIDTH))}`
}

/** Waits for the first of the signals. Fails if none comes in time. */
const within = async (seconds: number, ...signals: ReadonlyArray<AbortSignal>): Promise<void> => {
  const signal = AbortSignal.any([...signals])
  await wait(seconds * 1_000, undefined, { signal }).catch(() => {})
  if (!signal.aborted)
    throw new StackError(`No change was completed within ${seconds} s; --verbose shows what happened.`)
}
