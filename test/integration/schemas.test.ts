import { assert, it } from "@effect/vitest"
import { createMentor, expectTold, setStatus, startPipeline } from "../support/pipeline.ts"

it("a project whose Data API serves another schema first works like any other", async () => {
  await using pipeline = await startPipeline({ schemas: "extensions, public" })
  const { database, stack } = pipeline
  const mentorId = await createMentor(database)
  await setStatus(database, mentorId, "paused")
  const [event] = await expectTold(database, mentorId, "PAUSE")
  assert.strictEqual(event?.attempts, 1)
  const response = await fetch(stack.functionUrl, { headers: { apikey: stack.serviceKey } })
  assert.strictEqual(response.status, 200)
  assert.include(await response.text(), mentorId)
})
