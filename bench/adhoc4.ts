import { startDatabase } from "./world/database.ts"
const db = await startDatabase("postgres")
const c = await db.open()
const ins = async () => { const a: number[] = []; for (let i = 0; i < 8; i++) { const t = performance.now(); await c.query(`insert into outbox.events(topic,key,version,type,record,old_record,occurred_at,source,next_attempt_at) select 'pause-status', gen_random_uuid()::text, 1,'UPDATE','{"id":"a","status":"paused"}','{"id":"a","status":"active"}',now(),'outbox',now() from generate_series(1,1000)`); a.push(performance.now() - t) } await c.query("truncate outbox.events cascade"); return a.sort((x, y) => x - y)[4]!.toFixed(2) }
const idx = (await c.query("select indexrelid::regclass::text i, pg_get_indexdef(indexrelid) d from pg_index where indrelid='outbox.events'::regclass and not indisprimary and indexrelid::regclass::text not like '%version%'")).rows
console.log("all", await ins(), await ins())
for (const r of idx) { await c.query(`drop index ${r.i}`); console.log("without", r.i, await ins()); await c.query(r.d) }
const checks = (await c.query("select conname n, pg_get_constraintdef(oid) d from pg_constraint where conrelid='outbox.events'::regclass and contype='c'")).rows
for (const r of checks) await c.query(`alter table outbox.events drop constraint ${r.n}`)
console.log("no checks", await ins())
for (const r of idx) await c.query(`drop index ${r.i}`)
console.log("no checks, no idx", await ins())
await c.query("alter table outbox.events drop constraint events_give_a_version_once"); console.log("and no unique", await ins())
await c.query("alter table outbox.events disable trigger user"); console.log("and no triggers", await ins())
process.exit(0)
