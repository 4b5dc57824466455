import { assert, afterAll, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { type Isolates, startIsolates } from "../support/isolates.ts"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
  makeQuick,
  type Pipeline,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"
import { patientEnv } from "../support/patience.ts"
import { newSecret } from "../support/sql.ts"

const older = newSecret()
const newer = newSecret()

let pipeline: Pipeline
let isolates: Isolates

beforeAll(async () => {
  pipeline = await startPipeline()
  const { database, stack } = pipeline
  isolates = await startIsolates({
    SUPABASE_URL: stack.apiUrl,
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.serviceKey }),
    ORCHESTRATOR_URL: stack.orchestratorUrl,
    ...patientEnv
  })
  await database.rows("select vault.update_secret(id, $1) from vault.secrets where name = 'outbox_function_url'", [
    `${isolates.url}/pause-status-webhook-handler/api/v1/webhooks/pause-status`
  ])
})
afterAll(async () => {
  await isolates?.[Symbol.asyncDispose]()
  await pipeline?.[Symbol.asyncDispose]()
})

interface Step {
  readonly who: "the function" | "Postgres"
  readonly text: string
}

const update = (secrets: string): string =>
  `select vault.update_secret((select id from vault.secrets where name = 'outbox_webhook_secret'), '${secrets}')`

/** What `pause-status secrets --rotate` does, and then `--retire`, in this order: sharedSecret.test.ts says so. */
const steps: ReadonlyArray<Step> = [
  { who: "the function", text: `${newer} ${older}` },
  { who: "Postgres", text: update(`${newer} ${older}`) },
  { who: "Postgres", text: update(newer) },
  { who: "the function", text: newer }
]

const inPostgres = ({ text }: Step) => pipeline.database.rows(text)

/** The platform lets the old isolates live on for a while beside the new one. */
const inTheFunction = ({ text }: Step) => isolates.add({ WEBHOOK_SECRETS: text })

const step = (index: number): Step => steps[index] ?? assert.fail(`there is no step ${index + 1}`)

const keepInVault = (secrets: string) =>
  pipeline.database.rows("select vault.update_secret(id, $1) from vault.secrets where name = 'outbox_webhook_secret'", [
    secrets
  ])

const refusals = () => isolates.statuses.filter((status) => status === 401).length
const linesWith = (text: string) => isolates.log.filter((line) => line.includes(text)).length

/** Pauses and resumes mentors without end, each as soon as its last change was told, until it is stopped. */
const startLoad = async (mentors: number) => {
  const { database } = pipeline
  const stopped = new AbortController()
  let told = 0
  const change = async (mentorId: string): Promise<ReadonlyArray<string>> => {
    const transitions: Array<string> = []
    while (!stopped.signal.aborted) {
      const pauses = transitions.length % 2 === 0
      await setStatus(database, mentorId, pauses ? "paused" : "active")
      transitions.push(pauses ? "PAUSE" : "RESUME")
      await eventually(`change ${transitions.length} of ${mentorId} told`, async () => {
        const events = await eventsOf(database, mentorId)
        return events.length === transitions.length && events.every(({ status }) => status === "completed")
          ? true
          : undefined
      })
      told += 1
    }
    return transitions
  }
  const mentorIds = await Promise.all(Array.from({ length: mentors }, () => createMentor(database)))
  const changes = mentorIds.map(change)
  return {
    /** Waits until so many changes more were told. */
    goOn: async (more: number) => {
      const goal = told + more
      await Promise.race([eventually(`${goal} changes told`, () => (told >= goal ? true : undefined)), ...changes])
    },
    stop: async () => {
      stopped.abort()
      const transitions = await Promise.all(changes)
      return mentorIds.map((mentorId, index) => ({ mentorId, transitions: transitions[index] ?? [] }))
    }
  }
}

/** A change is refused as long as things are so, and told once, as soon as they are right. */
const expectRefusal = async (putRight: () => Promise<unknown>) => {
  const { database } = pipeline
  const mentorId = await createMentor(database)
  const before = refusals()
  await setStatus(database, mentorId, "paused")
  await eventually("a refusal", () => (refusals() > before ? true : undefined))
  await putRight()
  await expectTold(database, mentorId, "PAUSE")
}

describe("rotating the webhook secret", () => {
  beforeEach(async () => {
    await makeQuick(pipeline.database)
    await isolates.add({ WEBHOOK_SECRETS: older })
    await isolates.retireOld()
    await keepInVault(older)
  })

  it("refuses no delivery, while changes continue and old isolates keep running", async () => {
    await makePatient(pipeline.database)
    const before = { refusals: refusals(), replies: isolates.statuses.length }
    const load = await startLoad(4)
    await load.goOn(8)

    await inTheFunction(step(0))
    await load.goOn(12)
    await eventually("the log tells that Postgres still signs with the old secret only", () =>
      linesWith('"olderSecret":2') > 0 ? true : undefined
    )
    await inPostgres(step(1))
    await load.goOn(12)
    await isolates.retireOld()
    await load.goOn(8)
    const onlyOld = linesWith('"olderSecret"')
    await load.goOn(8)
    assert.strictEqual(linesWith('"olderSecret"'), onlyOld, "the log tells that Postgres signs with the new secret")

    await inPostgres(step(2))
    await load.goOn(12)
    await inTheFunction(step(3))
    await load.goOn(12)
    await isolates.retireOld()
    await load.goOn(8)

    for (const { mentorId, transitions } of await load.stop()) {
      await expectTold(pipeline.database, mentorId, ...transitions)
    }
    assert.isAtLeast(isolates.statuses.length - before.replies, 80)
    assert.strictEqual(refusals(), before.refusals)
    assert.strictEqual(linesWith("SignatureRejected"), before.refusals)
  })

  it("without step 1, the function refuses what Postgres signs with the new secret", () =>
    inPostgres(step(2)).then(() => expectRefusal(() => inPostgres(step(1)))))

  it("without steps 2 and 3, the function refuses what Postgres signs with the old secret", async () => {
    await inTheFunction(step(3))
    await isolates.retireOld()
    await expectRefusal(() => inPostgres(step(1)))
  })

  it("without the wait before step 3, an isolate with the old setting refuses", async () => {
    await inTheFunction(step(0))
    await inPostgres(step(2))
    const { database } = pipeline
    const mentorIds = await Promise.all(Array.from({ length: 4 }, () => createMentor(database)))
    const before = refusals()
    await Promise.all(mentorIds.map((mentorId) => setStatus(database, mentorId, "paused")))
    await eventually("a refusal", () => (refusals() > before ? true : undefined))
    await isolates.retireOld()
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
  })
})
