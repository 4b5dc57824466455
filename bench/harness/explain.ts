import type { Client } from "pg"
import { BenchError } from "./question.ts"

// They grow with the events; a table of a page, such as the settings, may be read as it likes.
const GROWING = /Seq Scan on (?:pause_status\.)?(webhook_queue|webhook_attempts|orchestrations)\b/

const START = `
  load 'auto_explain';
  set auto_explain.log_min_duration = 0;
  set auto_explain.log_nested_statements = on;
  set auto_explain.log_analyze = on;
  set auto_explain.log_timing = off;
  set client_min_messages = log`

const STOP = "set auto_explain.log_min_duration = -1; set client_min_messages = notice"

/** What PostgreSQL really did in each statement, those inside functions included. Fails when it read a whole table. */
export const explain = async (superuser: Client, title: string, work: () => Promise<void>): Promise<string> => {
  const plans: Array<string> = []
  const keep = ({ message = "" }: { readonly message?: string | undefined }): void => {
    if (message.includes("Query Text:")) plans.push(message.replace(/^duration: [\d.]+ ms {2}plan:\n/, ""))
  }
  superuser.on("notice", keep)
  await superuser.query(START)
  await work()
  await superuser.query(STOP)
  superuser.off("notice", keep)
  const wasteful = plans.find((plan) => GROWING.test(plan))
  if (wasteful !== undefined) throw new BenchError(`${title}: a hot statement reads a whole table:\n${wasteful}`)
  return [`## ${title}`, ...new Set(plans)].map((text) => (text.startsWith("##") ? text : fenced(text))).join("\n\n")
}

const fenced = (text: string): string => `\`\`\`\n${text.trim()}\n\`\`\``
