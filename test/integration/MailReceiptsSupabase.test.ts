import { afterAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as MailReceiptsSupabase from "../../src/layers/MailReceiptsSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { config } from "../support/layers.ts"
import { openDatabase } from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"
import { mailReceiptsContract } from "../topics/MailReceiptsContract.ts"

const { apiUrl, databaseUrl, serviceKey } = sharedStack()
const database = openDatabase(databaseUrl)
afterAll(() => database[Symbol.asyncDispose]())

const run = (sql: string, ...values: ReadonlyArray<unknown>) =>
  Effect.promise(() => database.rows(sql, values)).pipe(Effect.asVoid)

mailReceiptsContract("MailReceiptsSupabase, on Postgres through PostgREST and the gateway,", {
  layer: () =>
    MailReceiptsSupabase.layer.pipe(
      Layer.provide(SupabaseRest.layer),
      Layer.provide(config({ SUPABASE_URL: apiUrl, SUPABASE_SECRET_KEYS: JSON.stringify({ default: serviceKey }) }))
    ),
  coordinator: ({ email, id, name }) =>
    run(
      `insert into public.coordinators (id, name, email) values ($1, $2, $3)
       on conflict (id) do update set name = excluded.name, email = excluded.email`,
      id,
      name,
      email
    ),
  forget: (id) => run("delete from public.coordinators where id = $1", id),
  mentor: (id, name) =>
    run(
      `insert into public.peer_mentor_profiles (id, full_name) values ($1, $2)
       on conflict (id) do update set full_name = excluded.full_name`,
      id,
      name
    ),
  // The database's clock cannot be moved; when a mail was tried can.
  wait: (eventId, hours) =>
    run(
      "update outbox.receipts set created_at = created_at - make_interval(secs => $2::float8 * 3600) where event_id = $1",
      eventId,
      hours
    )
})
