import { Effect, Schema } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Supabase } from "./Supabase.ts"

const Mentors = Schema.Array(Schema.Struct({ id: Schema.String }))

const listPaused = Effect.fn("listPaused")(
  function* () {
    const supabase = yield* Supabase
    const { data } = yield* Effect.promise((signal) =>
      supabase.from("peer_mentor_profiles").select("id").eq("status", "paused").abortSignal(signal)
    )
    return HttpServerResponse.jsonUnsafe(yield* Schema.decodeUnknownEffect(Mentors)(data))
  },
  Effect.catchTag("SchemaError", (error) =>
    Effect.as(
      Effect.logError("the database's answer has an unexpected shape", error),
      HttpServerResponse.empty({ status: 502 })
    )
  )
)

/** GET /mentors/paused, one of the app's own routes, with the same client. */
export const layer = HttpRouter.add("GET", "/mentors/paused", listPaused())
