import { startDatabase } from "./world/database.ts"
const db = await startDatabase("postgres")
const c = await db.open()
await c.query(`insert into public.coordinators (id, email) select gen_random_uuid(), 'a@example.org'`).catch(async (e) => { console.log(e.message, (await c.query("select * from public.coordinators limit 1")).fields.map(f => f.name)) })
await c.query(`
  with mentor as materialized (
    select gen_random_uuid() as id, gen_random_uuid() as event_id, clock_timestamp() as moment
    from generate_series(1, 20000)
  ), linked as (
    insert into public.mentor_coordinators (mentor_id, coordinator_id)
    select m.id, (select id from public.coordinators limit 1) from mentor m
  ), known as (
    insert into outbox.keys (topic, key, version, known)
    select 'pause-status', m.id::text, 1, '{"status": "paused"}' from mentor m
  )
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, next_attempt_at
  )
  select
    m.event_id, 'pause-status', m.id::text, 1, 'UPDATE', jsonb_build_object('id', m.id, 'status', 'paused'),
    jsonb_build_object('id', m.id, 'status', 'active'), m.moment, 'outbox', now()
  from mentor m`)
await c.query("analyze")
import { readFileSync } from "node:fs"
const { pid } = (await c.query("select pg_backend_pid() pid")).rows[0]
const cpu = () => { const f = readFileSync(`/proc/${pid}/stat`, "utf8").split(" "); return (Number(f[13]) + Number(f[14])) * 10 }
const spent = { settle: 0, notify: 0 }
let settlements: unknown[] = []
const t: Record<string, number[]> = { settle: [], notify: [] }
let next: any[] = []
for (let i = 0; i < 155; i++) {
  let t0 = performance.now(); let c0 = cpu()
  const { rows } = await c.query("select public.outbox_settle($1, 'pause-status', 100) r", [JSON.stringify(settlements)])
  t.settle!.push(performance.now() - t0); if (i >= 5) spent.settle += cpu() - c0; c0 = cpu()
  next = rows[0].r.next
  if (i === 1) console.log(JSON.stringify(rows[0].r).length, rows[0].r.settled[0], next[0])
  t0 = performance.now()
  const n = await c.query("select public.pause_status_notify($1) r", [JSON.stringify(next.map((x) => ({ eventId: x.payload.event_id, mentorId: x.payload.record.id, transition: "PAUSE", oldStatus: "active", newStatus: "paused", occurredAt: x.payload.timestamp, version: x.payload.version, source: "outbox" })))])
  t.notify!.push(performance.now() - t0); if (i >= 5) spent.notify += cpu() - c0
  settlements = next.map((x, j) => ({ eventId: x.payload.event_id, token: x.token, outcome: "completed", receipt: n.rows[0].r[j].receipt, durationMs: 10 }))
}
const med = (a: number[]) => a.slice(5).sort((x, y) => x - y)[(a.length - 5) >> 1]!.toFixed(1)
console.log("CPU ms: settle", spent.settle/150, "notify", spent.notify/150); console.log("settle+take ms", med(t.settle!), "notify ms", med(t.notify!))
const t0 = performance.now(); await c.query("select public.outbox_settle($1)", [JSON.stringify(settlements)]); console.log("settle only", (performance.now() - t0).toFixed(1))
process.exit(0)
