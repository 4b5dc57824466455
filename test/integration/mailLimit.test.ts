import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { createNamedMentor, mailsTo, newAddress, settledMails } from "../support/mails.ts"
import { makePatient, type Pipeline, setStatus, startPipeline } from "../support/pipeline.ts"

let pipeline: Pipeline
beforeAll(async () => {
  pipeline = await startPipeline({ resendRequestsPerSecond: 2 })
  await makePatient(pipeline.database)
  await pipeline.database.rows("select outbox.mail_notifications(true)")
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

it("twenty mails at once go out under Resend's limit, each once, with few parkings and no attempt burned", async () => {
  const { database } = pipeline
  const addresses = Array.from({ length: 20 }, newAddress)
  const mentorId = await createNamedMentor(pipeline, "Ada", "nobody at home", ...addresses)
  await setStatus(database, mentorId, "paused")
  const events = await settledMails(database, mentorId, 21)
  assert.lengthOf(
    events.filter(({ status }) => status === "failed"),
    1,
    "a bad address spoils no other"
  )
  assert.lengthOf(
    events.filter(({ status, failures }) => status === "completed" && failures === 0),
    20
  )
  for (const address of addresses) assert.lengthOf(await mailsTo(pipeline, address), 1)
  const [{ parked, limited } = { parked: 0, limited: 0 }] = await database.rows<{ parked: number; limited: number }>(
    `select count(*)::int as parked, count(*) filter (where a.http_status = 429)::int as limited
     from outbox.attempts a join outbox.events q using (event_id)
     where a.outcome = 'parked' and q.record ->> 'mentor_id' = $1`,
    [mentorId]
  )
  // Eight go out with the first request; the others wait about once each.
  assert.isAtMost(parked, 40)
  assert.isAtMost(limited, 4)
})
