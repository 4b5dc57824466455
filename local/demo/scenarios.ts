import { randomBytes, randomUUID } from "node:crypto"
import { withClient } from "../postgres/connect.ts"
import { messageOf } from "../StackError.ts"
import type { Stack } from "../stack.ts"
import { deliver, sign, stockPayload } from "./delivery.ts"
import { Evidence, type QueueRow } from "./Evidence.ts"
import { loseNextAnswer, mailsUntil } from "./mails.ts"
import { bold, green, print, red, screenWidth, showStatus } from "./screen.ts"
import { type Mentor, seed } from "./seed.ts"
import { table } from "./table.ts"

interface World {
  readonly stack: Stack
  readonly evidence: Evidence
  readonly signal: AbortSignal
  readonly mentors: readonly [Mentor, Mentor, Mentor]
}

/** A scenario and the exact facts that must be visible afterwards. */
interface Scenario {
  readonly name: string
  readonly expected: ReadonlyArray<string>
  readonly play: (world: World) => Promise<ReadonlyArray<string>>
}

const completed = ({ evidence }: World, mentor: Mentor): Promise<QueueRow> =>
  evidence.eventUntil(mentor, "the event to be completed", (event) => event.status === "completed")

const changeStatus = async (world: World, mentor: Mentor, status: string): Promise<QueueRow> => {
  await world.evidence.setStatus(mentor, status)
  return completed(world, mentor)
}

const notified = async ({ evidence }: World, event: QueueRow): Promise<string> =>
  `notified: ${(await evidence.notifiedAbout(event)).join(", ")}`

const settled = ({ status, transition, version }: QueueRow): string => `${transition}, version ${version}: ${status}`

const mailed = async ({ signal, stack }: World, skip: number): Promise<ReadonlyArray<string>> => {
  const mails = await mailsUntil(stack, signal, { count: 2, skip })
  return mails.map(({ subject, to }) => `mail to ${/-(.)@/.exec(to)?.[1]?.toUpperCase()}: ${subject}`)
}

const answer = ({ status, body }: Awaited<ReturnType<typeof deliver>>): string =>
  `${status} ${body["code"] ?? body["status"]}`

const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "A mentor is paused",
    expected: ["PAUSE, version 1: completed", "notified: Coordinator A, Coordinator B"],
    play: async (world) => {
      const event = await changeStatus(world, world.mentors[0], "paused")
      return [settled(event), await notified(world, event)]
    }
  },
  {
    name: "The mentor is resumed",
    expected: ["RESUME, version 2: completed", "notified: Coordinator A, Coordinator B"],
    play: async (world) => {
      const event = await changeStatus(world, world.mentors[0], "active")
      return [settled(event), await notified(world, event)]
    }
  },
  {
    name: "An UPDATE to the same status",
    expected: ["nothing queued, nobody notified"],
    play: async ({ evidence, mentors }) => {
      const before = await evidence.tables("peer_mentor_profiles")
      await evidence.setStatus(mentors[0], "active")
      const same = before === (await evidence.tables("peer_mentor_profiles"))
      return [same ? "nothing queued, nobody notified" : "other tables changed"]
    }
  },
  {
    name: "A webhook without a change",
    expected: ["200 no_change", "no table changed"],
    play: async ({ evidence, mentors, stack }) => {
      const before = await evidence.tables()
      const body = JSON.stringify(stockPayload(mentors[0].id, "active", "active", new Date().toISOString()))
      const reply = await deliver(stack.functionUrl, sign(stack.webhookSecret, randomUUID(), body))
      return [answer(reply), before === (await evidence.tables()) ? "no table changed" : "a table changed"]
    }
  },
  {
    name: "The delivery comes twice more",
    expected: [
      "409 already_processed, its receipt",
      "409 already_processed, its receipt",
      "notified: Coordinator A, Coordinator B"
    ],
    play: async (world) => {
      const event = await world.evidence.event(world.mentors[0])
      const again = sign(world.stack.webhookSecret, event.event_id, event.body)
      const seen: Array<string> = []
      for (const delivery of [again, again]) {
        const reply = await deliver(world.stack.functionUrl, delivery)
        const isKept = JSON.stringify(reply.body["receipt"]) === JSON.stringify(event.receipt)
        seen.push(`${answer(reply)}, ${isKept ? "its receipt" : "another receipt"}`)
      }
      return [...seen, await notified(world, event)]
    }
  },
  {
    name: "A forged signature",
    expected: ["401 unauthorized", "no query through PostgREST", "no table changed"],
    play: async ({ evidence, mentors, stack }) => {
      const body = JSON.stringify(stockPayload(mentors[1].id, "active", "paused", new Date().toISOString()))
      const forged = sign(`whsec_${randomBytes(32).toString("base64")}`, randomUUID(), body)
      const [before, queries] = [await evidence.tables(), await evidence.restQueries()]
      const reply = await deliver(stack.functionUrl, forged)
      const news = (await evidence.restQueries()).filter((query) => !queries.includes(query))
      return [
        answer(reply),
        news.length === 0 ? "no query through PostgREST" : `queries: ${news.join("; ")}`,
        before === (await evidence.tables()) ? "no table changed" : "a table changed"
      ]
    }
  },
  {
    name: "One UPDATE pauses two mentors",
    expected: [
      "both in one signed webhook",
      "PAUSE, version 3: completed",
      "notified: Coordinator A, Coordinator B",
      "PAUSE, version 1: completed",
      "notified: Coordinator B, Coordinator C"
    ],
    play: async (world) => {
      const [first, second] = world.mentors
      await world.evidence.setStatus([first, second], "paused")
      const [one, other] = [await completed(world, first), await completed(world, second)]
      const isOne = one.delivery_id !== null && one.delivery_id === other.delivery_id
      return [
        isOne ? "both in one signed webhook" : "each in a webhook of its own",
        settled(one),
        await notified(world, one),
        settled(other),
        await notified(world, other)
      ]
    }
  },
  {
    name: "A pause while the orchestrator is down",
    expected: ["handler answered 502", "PAUSE, version 1: pending", "its last error is kept", "notified: nobody"],
    play: async (world) => {
      const { evidence, mentors, stack } = world
      await stack.services.orchestrator.stop()
      await evidence.setStatus(mentors[2], "paused")
      const event = await evidence.eventUntil(
        mentors[2],
        "the event to be released",
        ({ last_error, response_status, status }) =>
          status === "pending" && last_error !== null && response_status !== null
      )
      const names = await evidence.notifiedAbout(event)
      return [
        `handler answered ${event.response_status}`,
        settled(event),
        event.last_error?.startsWith("transient: ") === true
          ? "its last error is kept"
          : `last error ${event.last_error}`,
        `notified: ${names.length === 0 ? "nobody" : names.join(", ")}`
      ]
    }
  },
  {
    name: "The orchestrator is back",
    expected: ["sent again", "PAUSE, version 1: completed", "notified: Coordinator A, Coordinator C"],
    play: async (world) => {
      const { evidence, mentors, stack } = world
      await stack.services.orchestrator.start()
      const event = await evidence.eventUntil(
        mentors[2],
        "the sweep to send the event again",
        ({ status }) => status === "completed"
      )
      return [
        event.attempts > 1 ? "sent again" : `sent ${event.attempts} times`,
        settled(event),
        await notified(world, event)
      ]
    }
  },
  {
    name: "Mails are switched on, and a mentor is resumed",
    expected: ["RESUME, version 2: completed", "mail to B: Mentor 2 is back", "mail to C: Mentor 2 is back"],
    play: async (world) => {
      await world.evidence.switchMailsOn()
      const event = await changeStatus(world, world.mentors[1], "active")
      return [settled(event), ...(await mailed(world, 0))]
    }
  },
  {
    name: "Resend's answer to a mail is lost",
    expected: ["sent again", "mail to B: Mentor 2 is paused", "mail to C: Mentor 2 is paused"],
    play: async (world) => {
      await loseNextAnswer(world.stack)
      await changeStatus(world, world.mentors[1], "paused")
      const failures = await world.evidence.mailFailuresUntilSent(4)
      return [failures === 1 ? "sent again" : `sent again ${failures} times`, ...(await mailed(world, 2))]
    }
  }
]

// The margins between the columns, and the last one.
const NAME_WIDTH = 27
const REST = 7

/** What was seen, and what was expected if that differs. */
const verdict = (expected: ReadonlyArray<string>, seen: ReadonlyArray<string>): readonly [string, "yes" | "NO"] =>
  expected.join("\n") === seen.join("\n")
    ? [seen.join("\n"), "yes"]
    : [[...seen, "but expected was:", ...expected].join("\n"), "NO"]

/** Runs all scenarios, prints what was seen and whether it was expected, and returns whether everything was. */
export const playScenarios = async (stack: Stack, signal: AbortSignal): Promise<boolean> =>
  withClient(stack.databaseUrl, async (client) => {
    const world = { stack, signal, evidence: new Evidence(client, signal), mentors: await seed(client) }
    const rows: Array<ReadonlyArray<string>> = []
    for (const { expected, name, play } of scenarios) {
      showStatus(`${rows.length + 1} of ${scenarios.length}: ${name}`)
      const seen = await play(world).catch((cause: unknown) => [messageOf(cause)])
      if (signal.aborted) return false
      rows.push([name, ...verdict(expected, seen)])
    }
    const allOk = rows.every((row) => row[2] === "yes")
    print(`\n${layOut(rows)}\n`)
    print(allOk ? green("Everything as expected.") : red("Not everything is as expected."))
    return allOk
  })

const layOut = (rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  table(["scenario", "what happened", "ok"], rows, {
    widths: [NAME_WIDTH, screenWidth() - NAME_WIDTH - REST, 3],
    isSpaced: true,
    styleHead: bold,
    styleCell: (text, column) => (column < 2 ? text : text.includes("NO") ? red(text) : green(text))
  })
