import { afterAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as EventStoreSupabase from "../../src/layers/EventStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { eventStoreContract } from "../services/EventStoreContract.ts"
import { seedDatabase } from "../support/events.ts"
import { config } from "../support/layers.ts"
import { openDatabase } from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"

const { apiUrl, databaseUrl, serviceKey } = sharedStack()
const database = openDatabase(databaseUrl)
afterAll(() => database[Symbol.asyncDispose]())

eventStoreContract("EventStoreSupabase, on Postgres through PostgREST and the gateway,", {
  layer: () =>
    EventStoreSupabase.layer.pipe(
      Layer.provide(SupabaseRest.layer),
      Layer.provide(config({ SUPABASE_URL: apiUrl, SUPABASE_SECRET_KEYS: JSON.stringify({ default: serviceKey }) }))
    ),
  seed: (...seeds) => Effect.promise(() => seedDatabase(database, ...seeds)),
  assign: (coordinatorId, mentorId) =>
    Effect.promise(async () => {
      await database.rows("insert into public.peer_mentor_profiles (id, status) values ($1, 'active')", [mentorId])
      await database.rows("insert into public.coordinators (id, name) values ($1, 'Ada')", [coordinatorId])
      await database.rows("insert into public.mentor_coordinators (mentor_id, coordinator_id) values ($1, $2)", [
        mentorId,
        coordinatorId
      ])
    })
})
