import type { Client } from "pg"

// The tables that grow with the events. A table of one page, such as the settings, may be read in any way.
const GROWING = /Seq Scan on (?:outbox\.)?(events|attempts|receipts)\b/

const START = `
  load 'auto_explain';
  set auto_explain.log_min_duration = 0;
  set auto_explain.log_nested_statements = on;
  set auto_explain.log_analyze = on;
  set auto_explain.log_timing = off;
  set auto_explain.log_parameter_max_length = 0;
  set client_min_messages = log`

const STOP = "set auto_explain.log_min_duration = -1; set client_min_messages = notice"

/** What PostgreSQL did in each statement, including those inside functions. */
export interface Explained {
  readonly text: string
  /** Statements that read a whole table of events. */
  readonly sequentialScans: number
  /** The most rows that one statement read and discarded. A full index scan shows up here. */
  readonly rowsInVain: number
}

export const explain = async (superuser: Client, title: string, work: () => Promise<void>): Promise<Explained> => {
  const plans = new Set<string>()
  const keep = ({ message = "" }: { readonly message?: string | undefined }): void => {
    if (message.includes("Query Text:")) plans.add(message.replace(/^duration: [\d.]+ ms {2}plan:\n/, "").trim())
  }
  superuser.on("notice", keep)
  await superuser.query(START)
  await work()
  await superuser.query(STOP)
  superuser.off("notice", keep)
  const removed = [...plans].flatMap((plan) => plan.matchAll(/Removed by (?:Join )?Filter: (\d+)/g).toArray())
  return {
    text: [`## ${title}`, ...[...plans].map((plan) => `\`\`\`\n${plan}\n\`\`\``)].join("\n\n"),
    sequentialScans: [...plans].filter((plan) => GROWING.test(plan)).length,
    rowsInVain: Math.max(0, ...removed.map(([, rows]) => Number(rows)))
  }
}
