import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { type Recorder, startRecorder } from "../support/bareStack.ts"
import { otlpSpans } from "../support/otlp.ts"
import {
  createMentor,
  createMentors,
  eventually,
  expectTold,
  orchestratorPath,
  type Pipeline,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"

let pipeline: Pipeline
let receiver: Recorder

beforeAll(async () => {
  receiver = await startRecorder((_, response) => response.end("{}"))
  pipeline = await startPipeline()
  const { database } = pipeline
  await database.rows("select vault.create_secret($1, 'outbox_otlp_url')", [`${receiver.url}/v1/traces`])
  await database.rows("grant select, update on public.peer_mentor_profiles to service_role")
})
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]()
  await receiver?.[Symbol.asyncDispose]()
})

const hexOf = (id: string | undefined) => (id ?? "").replaceAll("-", "")

/** The spans of a trace, once the exporter has sent them. */
const spansOf = (traceId: string) =>
  eventually(`a trace ${traceId}`, async () => {
    await pipeline.database.rows("select outbox.export_traces()")
    const spans = receiver.arrivals.flatMap(({ body }) => otlpSpans(JSON.parse(body)))
    const own = spans.filter((span) => span.traceId === traceId)
    return own.length === 0 ? undefined : own
  })

/** What the exporter waits for: that no settlement is under way which is as old. */
const letTimePass = () =>
  pipeline.database.rows(
    `update outbox.events set completed_at = completed_at - interval '11 seconds' where status = 'completed';
     update outbox.heartbeats set last_at = now() - interval '5 minutes' where job = 'traces'`
  )

describe("a trace", () => {
  it("goes from the request that made the change through the outbox to the orchestrator", async () => {
    const { database, proxy, stack } = pipeline
    const mentorId = await createMentor(database)
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
    const response = await fetch(`${stack.apiUrl}/rest/v1/peer_mentor_profiles?id=eq.${mentorId}`, {
      method: "PATCH",
      headers: {
        apikey: stack.serviceKey,
        "content-type": "application/json",
        traceparent: `00-${traceId}-00f067aa0ba902b7-01`
      },
      body: '{"status":"paused"}'
    })
    assert.strictEqual(response.status, 204)
    const [event] = await expectTold(database, mentorId, "PAUSE")
    const eventSpan = hexOf(event?.event_id).slice(16)

    const call = proxy.seen(orchestratorPath).find(({ body }) => body.includes(mentorId))
    assert.strictEqual(call?.headers["traceparent"], `00-${traceId}-${eventSpan}-01`)
    assert.include(JSON.parse(call?.body ?? ""), { traceparent: `00-${traceId}-${eventSpan}-01` })

    await letTimePass()
    const spans = await spansOf(traceId)
    assert.deepStrictEqual(
      spans.map(({ name, parentSpanId, status }) => [name, parentSpanId, status.code]),
      [
        ["pause-status", "00f067aa0ba902b7", 1],
        ["attempt", eventSpan, 1],
        ["handle", spans[1]?.spanId, 1]
      ]
    )
    assert.strictEqual(spans[0]?.spanId, eventSpan)
  })

  it("begins at the commit, under the event's id, when the change was made by plain SQL", async () => {
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    const call = proxy.seen(orchestratorPath).find(({ body }) => body.includes(mentorId))
    assert.include(call?.headers["traceparent"], hexOf(event?.event_id))
    await letTimePass()
    assert.lengthOf(await spansOf(hexOf(event?.event_id)), 3)
  })

  it("is one per event if a request has several", async () => {
    const { database, proxy } = pipeline
    const mentorIds = await createMentors(database, 5)
    await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any ($1)", [mentorIds])
    const told = await Promise.all(mentorIds.map((mentorId) => expectTold(database, mentorId, "PAUSE")))
    const traces = told.map(([event]) => hexOf(event?.event_id))
    const sent = proxy
      .seen(orchestratorPath)
      .filter(({ body }) => body.startsWith("["))
      .flatMap(({ body }) => JSON.parse(body).map((event: { traceparent: string }) => event.traceparent.slice(3, 35)))
    assert.sameMembers(sent, traces)
  })
})
