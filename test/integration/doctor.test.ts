import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import { shifted } from "../../chaos/clocks.ts"
import { examined, uncheckedIn, wrongIn } from "../support/doctor.ts"
import {
  createMentor,
  type Database,
  eventually,
  openDatabase,
  type Pipeline,
  startPipeline
} from "../support/pipeline.ts"

let secondsAhead = 0
let pipeline: Pipeline
let admin: Database
beforeAll(async () => {
  pipeline = await startPipeline({ handlerPrelude: () => shifted(secondsAhead) })
  admin = openDatabase(pipeline.stack.adminUrl)
  await createMentor(pipeline.database)
})
afterAll(async () => {
  await admin?.[Symbol.asyncDispose]()
  await pipeline?.[Symbol.asyncDispose]()
})

const setClock = async (seconds: number): Promise<void> => {
  secondsAhead = seconds
  const { handler } = pipeline.stack.services
  await handler.kill("SIGKILL")
  await eventually("the handler is up again", () => handler.running || undefined)
}

const serveSchemas = async (schemas: string): Promise<void> => {
  await admin.rows(
    `alter role authenticator ${schemas === "" ? "reset pgrst.db_schemas" : `set pgrst.db_schemas = '${schemas}'`}`
  )
  await admin.rows("notify pgrst, 'reload config'")
  const { apiUrl, serviceKey } = pipeline.stack
  const statusOf = async (schema: string) =>
    (await fetch(`${apiUrl}/rest/v1/nothing`, { headers: { apikey: serviceKey, "accept-profile": schema } })).status
  await eventually("PostgREST has read its settings", async () => {
    const served = (await Promise.all(["public", "outbox"].map(statusOf))).map((status) => status !== 406)
    return (served[0] === /public|^$/.test(schemas) && served[1] === schemas.includes("outbox")) || undefined
  })
}

const storedSecret = (name: string, value: string) =>
  pipeline.database.rows("select vault.update_secret((select id from vault.secrets where name = $1), $2)", [
    name,
    value
  ])

const mentors = "public.peer_mentor_profiles"
const forgotten = "00000000-0000-4000-8000-000000000001"

const insertEvent = (status: string, columns: string, values: string) =>
  `insert into outbox.events
     (event_id, topic, key, version, type, record, old_record, occurred_at, source, created_at, status, ${columns})
   values ('${forgotten}', 'pause-status', '${forgotten}', 1, 'UPDATE', '{"status": "paused"}', '{"status": "active"}', now(),
     'outbox', now() - interval '1 hour', '${status}', ${values})`
const deleteEvent = `delete from outbox.events where event_id = '${forgotten}'`

interface Fault {
  readonly fault: string
  readonly inject: string | (() => Promise<unknown>)
  readonly repair: string | (() => Promise<unknown>)
  /** Each check that must find it, and what it says. Nothing else may be found. */
  readonly finds: Readonly<Record<string, RegExp>>
  readonly asAdmin?: boolean
}

const faults: ReadonlyArray<Fault> = [
  {
    fault: "an extension is missing",
    inject: "update pg_extension set extname = 'gone' where extname = 'pg_net'",
    repair: "update pg_extension set extname = 'pg_net' where extname = 'gone'",
    finds: { extensions: /pg_net is not installed.*create extension pg_net/ },
    asAdmin: true
  },
  {
    fault: "an extension is too old",
    inject: "update pg_extension set extversion = '1.4' where extname = 'pg_cron'",
    repair: "update pg_extension set extversion = '1.6.4' where extname = 'pg_cron'",
    finds: { extensions: /pg_cron is 1\.4.*alter extension pg_cron update/ },
    asAdmin: true
  },
  {
    fault: "a function of the outbox is another version's",
    inject: "update pg_proc set prosrc = prosrc || ' ' where oid = 'outbox.is_uuid(text)'::regprocedure",
    repair: "update pg_proc set prosrc = left(prosrc, -1) where oid = 'outbox.is_uuid(text)'::regprocedure",
    finds: { migrations: /^outbox\.is_uuid is not as in version.*upgrade.*db push --remote/ },
    asAdmin: true
  },
  {
    fault: "a trigger is disabled",
    inject: `alter table ${mentors} disable trigger outbox_pause_status_update`,
    repair: `alter table ${mentors} enable trigger outbox_pause_status_update`,
    finds: { triggers: /pause-status: .*enable trigger.*outbox_pause_status_update/ }
  },
  {
    fault: "a trigger is missing",
    inject: `drop trigger outbox_pause_status_key on ${mentors}`,
    repair: "select outbox.feed_by('pause-status', 'outbox')",
    finds: { triggers: /lacks the original outbox_pause_status_key/ }
  },
  {
    fault: "the trigger that dispatches is disabled",
    inject: "alter table outbox.events disable trigger events_dispatch_at_commit",
    repair: "alter table outbox.events enable trigger events_dispatch_at_commit",
    finds: { triggers: /events_dispatch_at_commit/ }
  },
  {
    fault: "no topic is declared",
    inject: "select outbox.unwatch('pause-status')",
    repair: `select outbox.watch(
      'pause-status', '${mentors}', columns => '{status}', visible_to => 'outbox.mentors_of',
      words => '{"status": {"active": ["active"], "paused": ["paused"]}}'
    )`,
    finds: { triggers: /No topic is declared.*outbox\.watch/ }
  },
  {
    fault: "a topic was changed by hand",
    inject: "update outbox.topics set latest_only = true",
    repair: "update outbox.topics set latest_only = false",
    finds: { declarations: /pause-status.*feed_by/ }
  },
  ...["changed", "capture"].map((part) => ({
    fault: `the generated function ${part} was edited`,
    inject: `update pg_proc set prosrc = prosrc || ' ' where proname = 'pause_status_${part}'`,
    repair: `update pg_proc set prosrc = left(prosrc, -1) where proname = 'pause_status_${part}'`,
    finds: { declarations: /pause-status.*feed_by/ },
    asAdmin: true
  })),
  {
    fault: "a status is a known word, but for its case",
    inject: () => createMentor(pipeline.database, "Paused"),
    repair: `delete from ${mentors} where status = 'Paused'`,
    finds: { words: /"Paused", which pause-status ignores/ }
  },
  {
    fault: "a mentor has no coordinator",
    inject: `insert into ${mentors} (id) values ('${forgotten}')`,
    repair: `delete from ${mentors} where id = '${forgotten}'`,
    finds: { coordinators: new RegExp(`1 mentor has no existing coordinator: ${forgotten}`) }
  },
  {
    fault: "a job is inactive",
    inject: "select cron.alter_job(jobid, active := false) from cron.job where jobname = 'outbox-retention'",
    repair: "select cron.alter_job(jobid, active := true) from cron.job where jobname = 'outbox-retention'",
    finds: { "cron jobs": /outbox-retention is inactive: select cron\.alter_job/ }
  },
  {
    fault: "a job is not scheduled",
    inject: "select cron.unschedule('outbox-reconcile')",
    repair: "select cron.schedule('outbox-reconcile', '0 0 1 1 *', 'select outbox.reconcile()')",
    finds: { "cron jobs": /outbox-reconcile is not scheduled/ }
  },
  {
    fault: "a job fails",
    inject: "update outbox.heartbeats set failed_at = clock_timestamp(), last_error = 'boom' where job = 'retention'",
    repair: "update outbox.heartbeats set failed_at = null, last_error = null where job = 'retention'",
    finds: { heartbeats: /outbox-retention: boom.*heartbeats/ }
  },
  {
    fault: "a job is silent",
    inject: "update outbox.heartbeats set last_at = now() + interval '1 year' where job = 'retention'",
    repair: "update outbox.heartbeats set last_at = now() where job = 'retention'",
    finds: { heartbeats: /outbox-retention ran to its end at .* and not since/ }
  },
  {
    fault: "the function is down",
    inject: () => pipeline.stack.services.handler.stop(),
    repair: () => pipeline.stack.services.handler.start(),
    finds: { function: /answers 503.*log/ }
  },
  {
    fault: "the orchestrator is down",
    inject: () => pipeline.stack.services.orchestrator.stop(),
    repair: () => pipeline.stack.services.orchestrator.start(),
    finds: { orchestrator: /answers with status 503.*ORCHESTRATOR_URL/ }
  },
  {
    fault: "Vault has another secret",
    inject: () => storedSecret("outbox_webhook_secret", `whsec_${Buffer.alloc(32, 7).toString("base64")}`),
    repair: () => storedSecret("outbox_webhook_secret", pipeline.stack.webhookSecret),
    finds: { secrets: /secrets differ.*pause-status secrets/ }
  },
  {
    fault: "Vault's secret has another form",
    inject: () => storedSecret("outbox_webhook_secret", "hush"),
    repair: () => storedSecret("outbox_webhook_secret", pipeline.stack.webhookSecret),
    finds: { secrets: /not of the form whsec_/ }
  },
  {
    fault: "Vault has no secret",
    inject: "update vault.secrets set name = 'gone' where name = 'outbox_webhook_secret'",
    repair: "update vault.secrets set name = 'outbox_webhook_secret' where name = 'gone'",
    finds: { secrets: /no secret named outbox_webhook_secret/ },
    asAdmin: true
  },
  {
    fault: "Vault has no URL",
    inject: "update vault.secrets set name = 'gone' where name = 'outbox_function_url'",
    repair: "update vault.secrets set name = 'outbox_function_url' where name = 'gone'",
    finds: { "function url": /no secret named outbox_function_url/ },
    asAdmin: true
  },
  {
    fault: "nobody answers at the URL",
    inject: () => storedSecret("outbox_function_url", "http://127.0.0.1:1/nobody"),
    repair: () => storedSecret("outbox_function_url", pipeline.stack.functionUrl),
    finds: { "function url": /127\.0\.0\.1:1\/nobody does not answer/ }
  },
  {
    fault: "the URL has another path",
    inject: () => storedSecret("outbox_function_url", `${pipeline.stack.functionUrl}-of-before`),
    repair: () => storedSecret("outbox_function_url", pipeline.stack.functionUrl),
    finds: { "function url": /Nothing takes deliveries of pause-status at .*: 404/ }
  },
  {
    fault: "the URL is another project's",
    inject: () => storedSecret("outbox_function_url", pipeline.stack.functionUrl.replace("127.0.0.1", "localhost")),
    repair: () => storedSecret("outbox_function_url", pipeline.stack.functionUrl),
    finds: { "function url": /Vault sends pause-status to http:\/\/localhost/ }
  },
  ...[-120, 400].map((seconds) => ({
    fault: `the function's clock is off by ${seconds} s`,
    inject: () => setClock(seconds),
    repair: () => setClock(0),
    finds: { clocks: seconds > 0 ? /(399|400|401) s ahead of Postgres/ : /(119|120|121) s behind Postgres/ }
  })),
  {
    fault: "the private schema is open",
    inject: "grant usage on schema outbox to anon",
    repair: "revoke usage on schema outbox from anon",
    finds: { grants: /anon may enter the schema outbox.*revoke/ }
  },
  {
    fault: "a private table is open",
    inject: "grant select on outbox.events to authenticated",
    repair: "revoke select on outbox.events from authenticated",
    finds: { grants: /authenticated may read or write outbox\.events/ }
  },
  {
    fault: "everybody may call a function",
    inject: "grant execute on function public.outbox_health() to public",
    repair: "revoke execute on function public.outbox_health() from public",
    finds: { grants: /anon may call outbox_health\(\).*\n.*authenticated may call/ }
  },
  {
    fault: "service_role may not call a function",
    inject: "revoke execute on function public.outbox_erase(text, uuid) from service_role",
    repair: "grant execute on function public.outbox_erase(text, uuid) to service_role",
    finds: { grants: /service_role may not call outbox_erase\(text,uuid\).*grant execute/ }
  },
  {
    fault: "a table hides its rows from the outbox itself",
    inject: "alter table outbox.erased force row level security",
    repair: "alter table outbox.erased no force row level security",
    finds: { grants: /security of outbox\.erased was forced.*no force row level security/ }
  },
  {
    fault: "no notification can be written",
    inject: "revoke insert on public.notifications from postgres",
    repair: "grant insert on public.notifications to postgres",
    finds: {
      grants: /postgres lacks insert on public\.notifications.*grant insert on public\.notifications to postgres/
    }
  },
  {
    fault: "a function has no search path of its own",
    inject: "alter function outbox.iso(timestamptz) reset search_path",
    repair: "alter function outbox.iso(timestamptz) set search_path = pg_catalog, pg_temp",
    finds: { "search path": /outbox\.iso.*set search_path/ }
  },
  {
    fault: "a hot function is compiled",
    inject: "alter function outbox.notify(outbox.pause_event[]) reset jit",
    repair: "alter function outbox.notify(outbox.pause_event[]) set jit = off",
    finds: { jit: /outbox\.notify.*set jit = off/ }
  },
  {
    fault: "the Data API serves the private schema",
    inject: () => serveSchemas("public, outbox"),
    repair: () => serveSchemas(""),
    finds: { "data api": /serves the schema outbox/ }
  },
  {
    fault: "the Data API does not serve public",
    inject: () => serveSchemas("extensions"),
    repair: () => serveSchemas(""),
    finds: { "data api": /answers 406 .*exposed schemas/, function: /database/ }
  },
  {
    fault: "an event waits",
    inject: insertEvent("pending", "next_attempt_at", "'infinity'"),
    repair: deleteEvent,
    finds: { "oldest pending": /waiting for 36\d\d s; 300 s are allowed/ }
  },
  {
    fault: "an event reached nobody",
    inject: insertEvent("completed", "completed_at, receipt", `now(), '{"notified": 0}'`),
    repair: deleteEvent,
    finds: { "dead letters": /1 event reached nobody/ }
  },
  {
    fault: "a dead letter is open",
    inject: `${insertEvent("failed", "dead_letter_id", `'${forgotten}'`)};
      insert into outbox.dead_letters
        (id, event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error)
      values ('${forgotten}', '${forgotten}', 'pause-status', 'm', 1, 'refused', 1, now(), now(), 'refused')`,
    repair: deleteEvent,
    finds: { "dead letters": /1 dead letter is open/ }
  },
  {
    fault: "an alert is open that no other check is about",
    inject:
      "insert into outbox.alerts (kind, value, threshold, detail) values ('unknown_event', 1, 1, 'look for a clone')",
    repair: "delete from outbox.alerts",
    finds: { alerts: /unknown_event since .*look for a clone/ }
  },
  {
    fault: "the retention does not keep up",
    inject: `insert into outbox.attempts (event_id, attempt, outcome, error, ended_at)
      values ('${forgotten}', 1, 'transient', 'refused', now() - interval '60 days')`,
    repair: `delete from outbox.attempts where event_id = '${forgotten}'`,
    finds: { growth: /outbox\.attempts has rows.*forget_settled/ }
  },
  {
    fault: "pg_net sends nothing",
    inject: async () => {
      await pipeline.stack.services.net.stop()
      await admin.rows(
        "insert into net.http_request_queue (method, url, timeout_milliseconds) select 'POST', 'http://x', 1 from generate_series(1, 10001)"
      )
    },
    repair: async () => {
      await admin.rows("delete from net.http_request_queue where url = 'http://x'")
      await pipeline.stack.services.net.start()
    },
    finds: { growth: /More than 10000 requests wait.*worker_restart/ }
  }
]

const run = (step: Fault["inject"], asAdmin = false) =>
  Effect.promise(() => (typeof step === "string" ? (asAdmin ? admin : pipeline.database).rows(step) : step()))

describe("doctor on a running stack", () => {
  it.live("finds nothing wrong, and checks everything", () =>
    Effect.gen(function* () {
      const findings = yield* examined(pipeline.stack)
      assert.deepStrictEqual([wrongIn(findings), uncheckedIn(findings)], [{}, {}])
    })
  )

  for (const { asAdmin, fault, finds, inject, repair } of faults) {
    it.live(`finds that ${fault}, and nothing else`, () =>
      Effect.gen(function* () {
        const found = yield* run(inject, asAdmin).pipe(
          Effect.andThen(examined(pipeline.stack)),
          Effect.map(wrongIn),
          Effect.ensuring(run(repair, asAdmin))
        )
        assert.sameMembers(Object.keys(found), Object.keys(finds), JSON.stringify(found))
        for (const [check, says] of Object.entries(finds)) assert.match(found[check] ?? "", says)
      })
    )
  }

  it.live("finds nothing wrong afterwards", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(wrongIn(yield* examined(pipeline.stack)), {})
    })
  )
})
