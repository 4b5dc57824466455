import { startDatabase, createMentors } from "./world/database.ts"
const db = await startDatabase("postgres")
const c = await db.open()
await createMentors(c, 10)
const one = async (name: string, expr: string, n = 2000) => {
  const q = `do $do$ begin for i in 1..${n} loop perform ${expr}; end loop; end $do$`
  await c.query(q.replace(String(n), "100"))
  const t = performance.now(); await c.query(q); console.log(name.padEnd(50), ((performance.now() - t) / n * 1000).toFixed(1), "µs")
}


await c.query(`create table public.big as select jsonb_agg(jsonb_build_object('topic','pause-status','schema','public','table','peer_mentor_profiles','type','UPDATE','event_id',gen_random_uuid(),'version',i,'timestamp',outbox.iso(now()),'record',jsonb_build_object('id',gen_random_uuid(),'status','paused'),'old_record',jsonb_build_object('id',gen_random_uuid(),'status','active'))) b from generate_series(1,100) i`)
const big = async (name: string, expr: string, n = 200) => {
  const q = `do $do$ declare b jsonb; t text; y bytea; begin select x.b into b from public.big x; for i in 1..${n} loop b := jsonb_set(b, '{0,version}', to_jsonb(i)); ${expr}; end loop; end $do$`
  await c.query(q)
  const t = performance.now(); await c.query(q); console.log(name.padEnd(50), ((performance.now() - t) / n * 1000).toFixed(1), "µs")
}
await big("nothing", "null")
await big("text", "t := b::text")
await big("text+bytea", "y := convert_to(b::text, 'UTF8')")
await big("sign", "t := outbox.sign('a', i, b::text, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')")
await big("http_post", "perform net.http_post(url := 'http://127.0.0.1:9/', body := b)")
await big("post", "perform outbox.post('pause-status', gen_random_uuid(), b)")
await c.query(`create table public.toast (b jsonb); create table public.toastx (b jsonb); alter table public.toastx alter column b set storage external; create table public.toasty (b bytea);create table public.toastz (b bytea);alter table public.toastz alter column b set storage external;`)
await big("store compressed", "insert into public.toast values (b)")
await big("store external", "insert into public.toastx values (b)")
await big("store bytea", "insert into public.toasty values (convert_to(b::text,'UTF8'))")
await big("store bytea ext", "insert into public.toastz values (convert_to(b::text,'UTF8'))")
process.exit(0)
