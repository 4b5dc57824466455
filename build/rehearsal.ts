// Tells which functions of the handler's bundle its first delivery calls, in a process of its own, whose environment and
// fetch are made up.
import { execFile } from "node:child_process"
import { createHmac } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { Session } from "node:inspector/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"

/** Where a function stands in the text, from its parameters or the word `function` to its end. */
export type Called = ReadonlySet<string>
export const place = (start: number, end: number): string => `${start} ${end}`

const key = Buffer.alloc(32, "rehearsal")
const supabaseUrl = "http://supabase.invalid"
const environment = {
  ORCHESTRATOR_URL: "http://orchestrator.invalid/",
  SUPABASE_URL: supabaseUrl,
  SUPABASE_SECRET_KEYS: JSON.stringify({ default: "sb_secret_rehearsal" }),
  WEBHOOK_SECRETS: `whsec_${key.toString("base64")}`
}

const eventId = "00000000-0000-4000-8000-000000000001"

const delivery = (): Request => {
  const record = { id: "00000000-0000-4000-8000-000000000002", status: "paused" }
  const body = JSON.stringify({
    type: "UPDATE",
    table: "peer_mentor_profiles",
    record,
    schema: "public",
    version: 1,
    event_id: eventId,
    timestamp: new Date().toISOString(),
    old_record: { ...record, status: "active" }
  })
  const timestamp = String(Math.floor(Date.now() / 1_000))
  const signature = createHmac("sha256", key).update(`${eventId}.${timestamp}.${body}`).digest("base64")
  const headers = {
    "content-type": "application/json",
    "content-length": String(body.length),
    "webhook-id": eventId,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature}`
  }
  const url = "http://handler.invalid/pause-status-webhook-handler/api/v1/webhooks/pause-status"
  return new Request(url, { method: "POST", headers, body })
}

const answers: Readonly<Record<string, unknown>> = {
  [`${supabaseUrl}/rest/v1/rpc/outbox_claim`]: [{ outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 60 }],
  [`${supabaseUrl}/rest/v1/rpc/outbox_settle`]: { settled: [{ outcome: "completed" }], next: [] },
  [environment.ORCHESTRATOR_URL]: { notified: 1 }
}

const rehearse = async (bundle: string): Promise<ReadonlyArray<string>> => {
  globalThis.fetch = async (url) => Response.json(answers[String(url)])
  // Its log line is part of a delivery, and none of the answer.
  console.log = () => undefined
  const session = new Session()
  session.connect()
  await session.post("Profiler.enable")
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })
  const url = pathToFileURL(bundle).href
  const { default: handler }: { readonly default: { readonly fetch: (request: Request) => Promise<Response> } } =
    await import(url)
  const response = await handler.fetch(delivery())
  if (response.status !== 200) throw new Error(`The rehearsed delivery was answered ${await response.text()}`)
  const { result } = await session.post("Profiler.takePreciseCoverage")
  const functions = result.flatMap((script) => (script.url === url ? script.functions : []))
  return functions.flatMap(({ ranges: [range] }) =>
    range !== undefined && range.count > 0 ? [place(range.startOffset, range.endOffset)] : []
  )
}

/** The functions of a bundle of the handler that are called until its first delivery is answered. */
export const calledByFirstDelivery = async (code: string): Promise<Called> => {
  const directory = await mkdtemp(join(tmpdir(), "rehearsal-"))
  try {
    const bundle = join(directory, "index.mjs")
    await writeFile(bundle, code)
    const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), bundle], {
      env: environment,
      maxBuffer: 10_000_000
    })
    return new Set(stdout.split("\n"))
  } finally {
    await rm(directory, { recursive: true })
  }
}

const bundle = process.argv[2]
if (import.meta.main && bundle !== undefined) process.stdout.write((await rehearse(bundle)).join("\n"))
