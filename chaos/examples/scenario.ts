import { readFile } from "node:fs/promises"
import { SEND_EMAIL } from "../../local/stack.ts"
import { installAudit } from "../audit.ts"
import { type Call, EXAMPLES } from "../calls.ts"
import { anytime } from "../Killer.ts"
import { planWorld } from "../plan.ts"
import { insertWorld, type Scenario } from "../scenario.ts"
import { rowsOf } from "../Session.ts"
import { EXAMPLE_STEPS } from "../steps.ts"
import type { System } from "../system.ts"
import { readExampleEvidence } from "./audit.ts"
import { endanger } from "./faults.ts"
import type { ExampleOperation } from "./plan.ts"
import { startExamples } from "./system.ts"
import { exampleWork, INSERT_ITEMS, INSERT_OPPORTUNITIES } from "./writers.ts"

const OWNERS: ReadonlyArray<readonly [word: RegExp, handler: string]> = [
  [/order_to_confirm|confirm_order|generate-pdf/, "order-created"],
  [/reorder_item/, "inventory-low"],
  [/move_opportunity/, "opportunity-stage"],
  [/notification_mail/, SEND_EMAIL],
  [/storage\/v1/, "generate-pdf"]
]

const handlerOf = ({ body, headers, kind, path }: Call): string => {
  if (kind === "mail") return headers.some((word) => word.endsWith("/mail")) ? "order-created" : SEND_EMAIL
  const owner = OWNERS.find(([word]) => word.test(path))
  if (owner !== undefined) return owner[1]
  if (body.includes('"notification-mail"')) return SEND_EMAIL
  return EXAMPLES.find((name) => body.includes(`"${name}"`)) ?? "handler"
}

/** Pauses and resumes with mails, and the three examples. */
export const withExamples: Scenario<ExampleOperation, System> = {
  start: startExamples,
  endanger,
  prepare: async (session, system, random, options) => {
    await installAudit(session)
    const text = await readFile(new URL("audit.sql", import.meta.url), "utf8")
    await session.retrying((client) => client.query(text))
    await system.configure(session)
    const world = planWorld(random, options.mentors)
    await insertWorld(session, world)
    await rowsOf(session, "select outbox.mail_notifications(true)")
    await rowsOf(session, "insert into public.inventory_managers (name) values ('Bo')")
    const ids = () => Array.from({ length: options.mentors }, random.uuid)
    const [items, opportunities] = [ids(), ids()]
    await rowsOf(session, INSERT_ITEMS, [items])
    await rowsOf(session, INSERT_OPPORTUNITIES, [opportunities])
    return exampleWork({ mentors: world.plain, items, opportunities })
  },
  killPlan: {
    steps: EXAMPLE_STEPS,
    others: [
      { step: "orchestrator called", victim: "orchestrator" },
      { step: "invoice asked", victim: "generate-pdf" },
      { step: "mail called", victim: "resend" },
      { step: "after mail accepted", victim: "resend" },
      ...anytime("postgres", "net")
    ],
    rare: [
      { step: "after effect", victim: "postgres" },
      { step: "before settle", victim: "postgres" },
      { step: "after mail accepted", victim: "postgres" },
      { step: "after invoice made", victim: "postgrest" },
      { step: "before effect", victim: "postgrest" },
      ...anytime("cron", ...EXAMPLES)
    ],
    withoutNet: anytime("postgres", "postgrest", "cron", "handler", SEND_EMAIL, "orchestrator"),
    handlerOf
  },
  lateTopics: new Set(["notification-mail", ...EXAMPLES]),
  evidence: readExampleEvidence
}
