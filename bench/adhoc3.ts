import { startDatabase, createMentors } from "./world/database.ts"
const db = await startDatabase("postgres")
const c = await db.open()
const ids = await createMentors(c, 10000)
await c.query(`create table public.bench_none (like public.peer_mentor_profiles including all); insert into public.bench_none select * from public.peer_mentor_profiles;create table public.audit_log (id bigint generated always as identity primary key, table_name text not null, record_id uuid not null, old_record jsonb, new_record jsonb, changed_at timestamptz not null default now());
create table public.bench_audit (like public.peer_mentor_profiles including all); insert into public.bench_audit select * from public.peer_mentor_profiles;
create function public.ba() returns trigger language plpgsql as $$ begin insert into public.audit_log (table_name, record_id, old_record, new_record) values (tg_table_name, new.id, to_jsonb(old), to_jsonb(new)); return null; end $$;
create trigger ba after update on bench_audit for each row when (old.status is distinct from new.status) execute function ba();`)
const time = async (table: string, n: number, rounds: number) => {
  const a: number[] = []
  for (let i = 0; i < rounds; i++) {
    const t0 = performance.now()
    await c.query(`update ${table} set status = case status when 'paused' then 'active' else 'paused' end where id = any($1)`, [ids.slice(0, n)])
    a.push(performance.now() - t0)
  }
  await c.query("truncate outbox.events cascade; truncate outbox.deliveries, net.http_request_queue, audit_log"); await c.query("vacuum peer_mentor_profiles"); await c.query("vacuum outbox.keys"); await c.query("vacuum bench_audit"); await c.query("vacuum bench_none")
  return a.sort((x, y) => x - y)[rounds >> 1]!
}
const def = async (name: string) => (await c.query(`select pg_get_functiondef(oid) d from pg_proc where proname=$1`, [name])).rows[0].d as string
const changed = await def("pause_status_changed"), capture = await def("pause_status_capture")
const steps: [string, (() => Promise<unknown>)][] = [
  ["full", async () => {}],
  ["no dispatch trigger", () => c.query("alter table outbox.events disable trigger events_dispatch_at_commit")],
  ["capture: no leads", () => c.query(capture.replace("p.place / size < most_requests", "false"))],
  ["capture: no events", () => c.query(capture.replace(/with changed as/, "with changed as").replace("left join requests r", "join requests r").replace("p.place / size < most_requests", "false"))],
  ["capture stub", () => c.query(capture.replace(/begin[\s\S]*end\n/, "begin return 0; end\n"))],
  ["changed stub", () => c.query(changed.replace(/begin\n[\s\S]*end\n/, "begin return null; end\n"))],
  ["no triggers", () => c.query("alter table peer_mentor_profiles disable trigger user")]
]
for (let round = 0; round < 2; round++) { for (const [name, f] of steps) {
  await f()
  const out: string[] = []
  for (const [n, r] of [[1, 80], [100, 12], [1000, 6]] as const) { await time("peer_mentor_profiles", n, 5); await time("bench_audit", n, 5)
    out.push(`${n}: ${(await time("peer_mentor_profiles", n, r)).toFixed(3)} (${(await time("bench_audit", n, r)).toFixed(3)})`) }
  console.log(name.padEnd(25), out.join("   "))
}
await c.query(changed); await c.query(capture); await c.query("alter table outbox.events enable trigger events_dispatch_at_commit;alter table peer_mentor_profiles enable trigger user") }
process.exit(0)
