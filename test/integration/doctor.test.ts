import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { afterAll, beforeAll } from "vitest"
import { examine } from "../../cli/doctor/Examine.ts"
import { inWords } from "../../cli/doctor/Report.ts"
import * as SourcesLive from "../../cli/doctor/SourcesLive.ts"
import { type Pipeline, startPipeline } from "../support/pipeline.ts"

let pipeline: Pipeline
beforeAll(async () => {
  pipeline = await startPipeline()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const migrations = new URL("../../supabase/migrations/", import.meta.url)

describe("doctor", () => {
  it.live("try", () =>
    Effect.gen(function* () {
      const { apiUrl, databaseUrl, serviceKey } = pipeline.stack
      const layer = SourcesLive.layer({
        databaseUrl: Option.some(databaseUrl),
        project: Option.some({ url: apiUrl, key: serviceKey }),
        migrations
      })
      const started = performance.now()
      const findings = yield* Effect.provide(examine, layer)
      console.log(performance.now() - started)
      console.log(inWords(findings))
      assert.isTrue(true)
    })
  )
})
