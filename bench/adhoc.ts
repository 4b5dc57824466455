import { startDatabase, createMentors } from "./world/database.ts"
const db = await startDatabase("postgres")
const c = await db.open()
const ids = await createMentors(c, 10000)
await c.query(`create table public.audit_log (id bigint generated always as identity primary key, table_name text not null, record_id uuid not null, old_record jsonb, new_record jsonb, changed_at timestamptz not null default now());
create table public.bench_none (like public.peer_mentor_profiles including all); insert into public.bench_none select * from public.peer_mentor_profiles;
create table public.bench_audit (like public.peer_mentor_profiles including all); insert into public.bench_audit select * from public.peer_mentor_profiles;
create function public.ba() returns trigger language plpgsql as $$ begin insert into public.audit_log (table_name, record_id, old_record, new_record) values (tg_table_name, new.id, to_jsonb(old), to_jsonb(new)); return null; end $$;
create trigger ba after update on bench_audit for each row when (old.status is distinct from new.status) execute function ba();`)
const variants: Record<string,string[]> = { ours: [], }
for (const f of process.argv.slice(2)) variants[f] = []
const time = async (table: string, n: number) => {
  const t0 = performance.now()
  await c.query(`update ${table} set status = case status when 'paused' then 'active' else 'paused' end where id = any($1)`, [ids.slice(0, n)])
  return performance.now() - t0
}
const med = (a: number[]) => a.sort((x, y) => x - y)[a.length >> 1]!
const clean = async () => { await c.query("delete from outbox.events; delete from outbox.deliveries; delete from net.http_request_queue; delete from public.audit_log"); for (const t of ["outbox.events","outbox.deliveries","public.audit_log"]) await c.query("vacuum (truncate false) "+t); await c.query("vacuum peer_mentor_profiles"); await c.query("vacuum bench_audit");await c.query("vacuum bench_none"); await c.query("vacuum outbox.keys") }
for (const n of [1, 10, 100, 1000, 10000]) {
  const r: Record<string, number[]> = { none: [], audit: [], ours: [], nodispatch: [], norequests: [] }
  const rounds = n <= 10 ? 60 : n <= 100 ? 20 : n<=1000? 8: 4
  for (let i = 0; i < rounds; i++) {
    if (i===0) await clean(); r.none!.push(await time("bench_none", n)); r.audit!.push(await time("bench_audit", n)); r.ours!.push(await time("peer_mentor_profiles", n))
    await c.query("alter table outbox.events disable trigger events_dispatch_at_commit"); await time("peer_mentor_profiles", n)
    r.nodispatch!.push(await time("peer_mentor_profiles", n)); await c.query("alter table outbox.events enable trigger events_dispatch_at_commit"); await time("peer_mentor_profiles", 1)
    if (n >= 100 || i % 10 === 0) await clean()
    if (n >= 100) { await time("peer_mentor_profiles", 1) }
  }
  const m = Object.fromEntries(Object.entries(r).map(([k, v]) => [k, med(v)]))
  console.log(n, Object.entries(m).map(([k, v]) => `${k} ${v?.toFixed(3)} (${(v! / m.audit!).toFixed(2)})`).join("  "))
}
await c.end(); await (db as any)[Symbol.asyncDispose]?.()
process.exit(0)
