import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { createNamedMentor, mailsTo, newAddress, settledMails, spoil } from "../support/mails.ts"
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

it("a mail that meets a limit of a second waits in the function, and is not parked", async () => {
  const { database } = pipeline
  const address = newAddress()
  const mentorId = await createNamedMentor(pipeline, "Bea", address)
  await spoil(pipeline, "429")
  await setStatus(database, mentorId, "paused")
  const [event] = await settledMails(database, mentorId, 1)
  const history = await database.rows<{ outcome: string }>("select outcome from outbox.event_history($1)", [
    event?.event_id
  ])
  assert.deepStrictEqual(
    history.map(({ outcome }) => outcome),
    ["completed"]
  )
  assert.lengthOf(await mailsTo(pipeline, address), 1)
})
