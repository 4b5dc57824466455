import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { type Recorder, startRecorder } from "../../support/bareStack.ts"
import { otlpSpans, type OtlpSpan } from "../../support/otlp.ts"
import {
  bury,
  claim,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  openReadyDatabase,
  pausedEvents,
  release,
  setStatus,
  settle,
  storeSecret
} from "../../support/sql.ts"

const incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
const hexOf = (id: string) => id.replaceAll("-", "")

describe("an event's traceparent", () => {
  let own: Database
  beforeEach(async () => {
    own = await openReadyDatabase()
  })
  afterEach(() => own[Symbol.asyncDispose]())

  /** The traceparent of a pause, as it is queued and as it is sent, when the request has these headers. */
  const paused = async (headers: string | undefined) => {
    const mentor = await createMentor(own)
    await using client = await own.connect()
    await client.query("begin")
    if (headers !== undefined) await client.query("select set_config('request.headers', $1, true)", [headers])
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    await client.query("commit")
    const { event_id } = await eventOf(own, mentor)
    const { body, stored } = await own.row<{ stored: string | null; body: string }>(
      "select traceparent as stored, outbox.body(q) ->> 'traceparent' as body from outbox.events q where event_id = $1",
      [event_id]
    )
    const { header, posted } = await own.row<{ header: string; posted: string }>(
      `select r.headers ->> 'traceparent' as header, convert_from(r.body, 'UTF8')::jsonb ->> 'traceparent' as posted
       from net.http_request_queue r where r.headers ->> 'webhook-id' = $1`,
      [event_id]
    )
    assert.deepStrictEqual([header, posted], [body, body])
    return { stored, sent: body, event: hexOf(event_id) }
  }

  it("belongs to the trace of PostgREST's request, with its own span", async () => {
    const { event, sent, stored } = await paused(JSON.stringify({ host: "localhost", traceparent: incoming }))
    assert.strictEqual(stored, incoming)
    assert.strictEqual(sent, `00-4bf92f3577b34da6a3ce929d0e0e4736-${event.slice(16)}-01`)
  })

  it.each([
    undefined,
    "",
    "{}",
    "no JSON with traceparent",
    '{"traceparent":7}',
    '{"traceparent":"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}',
    '{"traceparent":"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}',
    '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"}',
    '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\\r\\nx: y"}'
  ])("is made of the event id when the headers are %o, and the change goes through", async (headers) => {
    const { event, sent, stored } = await paused(headers)
    assert.isNull(stored)
    assert.strictEqual(sent, `00-${event}-${event.slice(16)}-01`)
  })

  it("of several events in one request is in each body, and in no header", async () => {
    const events = await pausedEvents(own, 3)
    const [{ body = "", has = true } = {}] = await own.rows<{ has: boolean; body: string }>(
      `select coalesce(headers ->> 'traceparent', '') <> '' as has, convert_from(body, 'UTF8') as body
       from net.http_request_queue`
    )
    assert.isFalse(has)
    const bodies: ReadonlyArray<{ event_id: string; traceparent: string }> = JSON.parse(body)
    assert.sameMembers(
      bodies.map(({ traceparent }) => traceparent.slice(3, 35)),
      events.map(({ eventId }) => hexOf(eventId))
    )
  })
})

describe("export_traces", () => {
  let own: Database
  let receiver: Recorder
  let status: number
  beforeEach(async () => {
    own = await openReadyDatabase()
    status = 200
    receiver = await startRecorder((_, response) => response.writeHead(status).end("{}"))
    await storeSecret(own, "outbox_otlp_url", `${receiver.url}/v1/traces`)
    await own.rows("update outbox.heartbeats set last_at = now() - interval '30 minutes' where job = 'traces'")
  })
  afterEach(async () => {
    await receiver[Symbol.asyncDispose]()
    await own[Symbol.asyncDispose]()
  })

  const exportTraces = async () => (await own.row<{ sent: number }>("select outbox.export_traces() as sent")).sent
  /** Settlements of the last ten seconds wait for those that may have begun before them. */
  const letTimePass = () =>
    own.rows(
      `update outbox.events set occurred_at = occurred_at - interval '20 seconds', completed_at = completed_at - interval '15 seconds';
       update outbox.dead_letters set created_at = created_at - interval '15 seconds';
       update outbox.heartbeats set last_at = last_at - interval '15 seconds' where job = 'traces'`
    )
  const spans = () => receiver.arrivals.flatMap(({ body }) => otlpSpans(JSON.parse(body)))
  const heartbeat = () =>
    own.row<{ last_error: string | null }>("select last_error from outbox.heartbeats where job = 'traces'")
  const named = (name: string): OtlpSpan => spans().find((span) => span.name === name) ?? assert.fail(`no span ${name}`)

  const pause = async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    return (await eventOf(own, mentor)).event_id
  }

  it("sends a completed event once, as one trace that begins at the change", async () => {
    const eventId = await pause()
    await release(own, eventId, await claim(own, eventId), {
      kind: "transient",
      message: "marker",
      status: 503,
      durationMs: 7
    })
    await settle(own, eventId)
    assert.strictEqual(await exportTraces(), 0)
    await letTimePass()
    assert.strictEqual(await exportTraces(), 5)
    assert.strictEqual(await exportTraces(), 0)
    assert.lengthOf(receiver.arrivals, 1)
    assert.deepStrictEqual([...new Set(spans().map(({ traceId }) => traceId))], [hexOf(eventId)])

    const root = named("pause-status")
    assert.include(root, { spanId: hexOf(eventId).slice(16), kind: 4 })
    assert.isUndefined(root.parentSpanId)
    assert.deepInclude(root.attributes, {
      "outbox.event_id": eventId,
      "outbox.version": "1",
      "outbox.topic": "pause-status"
    })
    const { from, to } = await own.row<{ from: string; to: string }>(
      `select (extract(epoch from occurred_at) * 1000000)::bigint || '000' as from,
         (extract(epoch from completed_at) * 1000000)::bigint || '000' as to from outbox.events`
    )
    assert.deepStrictEqual([root.startTimeUnixNano, root.endTimeUnixNano], [from, to])

    const attempts = spans().filter(({ name }) => name === "attempt")
    assert.deepStrictEqual(
      attempts.map(({ attributes, parentSpanId, status: { code } }) => [
        parentSpanId,
        attributes["outbox.outcome"],
        code
      ]),
      [
        [root.spanId, "transient", 2],
        [root.spanId, "completed", 1]
      ]
    )
    assert.strictEqual(attempts[0]?.attributes["http.response.status_code"], "503")
    const handle = named("handle")
    assert.strictEqual(handle.parentSpanId, attempts[0]?.spanId)
    assert.strictEqual(Number(BigInt(handle.endTimeUnixNano) - BigInt(handle.startTimeUnixNano)), 7_000_000)
    for (const { spanId, traceId } of spans()) {
      assert.match(traceId, /^(?!0+$)[0-9a-f]{32}$/)
      assert.match(spanId, /^(?!0+$)[0-9a-f]{16}$/)
    }
    assert.strictEqual(new Set(spans().map(({ spanId }) => spanId)).size, 5)
  })

  it("sends neither a key nor a record nor the words of an error", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await release(own, event_id, await claim(own, event_id), { kind: "permanent", message: `marker of ${mentor}` })
    await letTimePass()
    assert.strictEqual(await exportTraces(), 3)
    const text = receiver.arrivals.map(({ body }) => body).join("")
    for (const part of [mentor, "marker", "paused"]) assert.notInclude(text, part)
  })

  it("sends a dead letter as a trace that failed", async () => {
    const eventId = await pause()
    await bury(own, eventId)
    await letTimePass()
    await exportTraces()
    assert.deepInclude(named("pause-status"), { traceId: hexOf(eventId), status: { code: 2 } })
  })

  it("joins the request's trace, below its span, and skips what that one does not sample", async () => {
    const [first, second] = [await pause(), await pause()]
    await own.rows("update outbox.events set traceparent = $2 where event_id = $1", [first, incoming])
    await own.rows("update outbox.events set traceparent = $2 where event_id = $1", [
      second,
      incoming.replace(/01$/, "00")
    ])
    for (const eventId of [first, second]) await settle(own, eventId)
    await letTimePass()
    assert.strictEqual(await exportTraces(), 3)
    assert.include(named("pause-status"), {
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: hexOf(first).slice(16),
      parentSpanId: "00f067aa0ba902b7"
    })
  })

  it("sends the receiver's headers, and says so if they cannot be read", async () => {
    await storeSecret(own, "outbox_otlp_headers", '{"Authorization": "Basic marker"}')
    await settle(own, await pause())
    await letTimePass()
    await exportTraces()
    assert.include(receiver.arrivals[0]?.headers, { authorization: "Basic marker", "content-type": "application/json" })
    await storeSecret(own, "outbox_otlp_headers", "Authorization=Basic marker")
    await settle(own, await pause())
    await letTimePass()
    assert.strictEqual(await exportTraces(), 0)
    assert.include(await heartbeat(), {
      last_error: "outbox_otlp_url: the Vault secret outbox_otlp_headers is no JSON object: update it"
    })
  })

  it("retries what was not accepted, and opens no alert for it", async () => {
    status = 500
    await settle(own, await pause())
    await letTimePass()
    assert.strictEqual(await exportTraces(), 0)
    assert.include(await heartbeat(), { last_error: "outbox_otlp_url: the answer was 500" })
    assert.strictEqual((await own.row<{ open: number }>("select outbox.watch() as open")).open, 0)
    status = 200
    assert.strictEqual(await exportTraces(), 3)
    assert.include(await heartbeat(), { last_error: null })
  })

  it("sends every event once, in several requests if there are many", async () => {
    const events = await pausedEvents(own, 450)
    for (const { eventId } of events) await settle(own, eventId)
    // Some at the very same time.
    await own.rows("update outbox.events set completed_at = date_trunc('second', completed_at)")
    await letTimePass()
    await exportTraces()
    const roots = spans().filter(({ name }) => name === "pause-status")
    assert.lengthOf(roots, 450)
    assert.strictEqual(new Set(roots.map(({ traceId }) => traceId)).size, 450)
  })

  it("fills pg_net's queue with no more than five requests a run if there is no extension http, and goes on later", async () => {
    await own.rows("drop extension http")
    await own.rows(
      `insert into outbox.events (
         event_id, topic, key, type, version, record, old_record, occurred_at, source, status, completed_at,
         receipt, next_attempt_at
       )
       select
         gen_random_uuid(), 'pause-status', gen_random_uuid(), 'UPDATE', 1, '{"status": "paused"}', '{"status": "active"}',
         now() - interval '2 minutes', 'outbox', 'completed', now() - interval '1 minute' + n * interval '1 ms', '{}', null
       from generate_series(1, 1100) as n`
    )
    const requests = async () => {
      const { count } = await own.row<{ count: number }>("select count(*)::int from net.http_request_queue")
      await emptyNet(own)
      return count
    }
    await exportTraces()
    assert.strictEqual(await requests(), 5)
    await exportTraces()
    assert.strictEqual(await requests(), 1)
  })

  it("does nothing without outbox_otlp_url, and leaves out what is older than an hour", async () => {
    await own.rows("delete from vault.secrets where name = 'outbox_otlp_url'")
    await settle(own, await pause())
    await letTimePass()
    assert.strictEqual(await exportTraces(), 0)
    await storeSecret(own, "outbox_otlp_url", `${receiver.url}/v1/traces`)
    await own.rows(`update outbox.events set completed_at = now() - interval '61 minutes';
      update outbox.heartbeats set last_at = now() - interval '1 day' where job = 'traces'`)
    assert.strictEqual(await exportTraces(), 0)
    assert.lengthOf(receiver.arrivals, 0)
  })
})
