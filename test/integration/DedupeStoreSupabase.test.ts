import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DedupeStoreSupabase from "../../src/layers/DedupeStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { dedupeStoreContract } from "../services/DedupeStoreContract.ts"
import { config } from "../support/layers.ts"
import { type Pipeline, startPipeline } from "../support/pipeline.ts"

// A stack of its own, in which nobody else claims what is queued or released, or whose lease has ended.
let pipeline: Pipeline
beforeAll(async () => {
  pipeline = await startPipeline()
  await pipeline.stack.services.cron.stop()
  await pipeline.stack.services.net.stop()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

dedupeStoreContract("DedupeStoreSupabase, on Postgres through PostgREST and the gateway,", {
  layer: () => {
    const { apiUrl, serviceKey } = pipeline.stack
    return DedupeStoreSupabase.layer.pipe(
      Layer.provide(SupabaseRest.layer),
      Layer.provide(config({ SUPABASE_URL: apiUrl, SUPABASE_SECRET_KEYS: JSON.stringify({ default: serviceKey }) }))
    )
  },
  // As captured; what is first in line is as if its request were under way.
  queue: (...events) =>
    Effect.promise(() =>
      pipeline.database.rows(
        `insert into outbox.events (
           event_id, topic, key, version, type, record, old_record, occurred_at, source, next_attempt_at
         )
         select
           "eventId", topic, key, version, 'UPDATE', record, "oldRecord", "occurredAt"::timestamptz, source,
           case version when 1 then now() + interval '1 hour' else 'infinity' end
         from jsonb_to_recordset($1::jsonb) as e (
           "eventId" uuid, topic text, key text, version bigint, record jsonb, "oldRecord" jsonb, "occurredAt" text,
           source text
         )`,
        [JSON.stringify(events)]
      )
    ),
  // The database's clock cannot be moved; where the lease ends can.
  expireLease: (claim) =>
    Effect.promise(() =>
      pipeline.database.rows(
        `update outbox.events set lease_expires_at = clock_timestamp() - interval '1 second'
         where event_id = $1 and status = 'processing' and claim_token = $2`,
        [claim.eventId, claim.token]
      )
    )
})
