import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { deliver, verdict } from "../support/deliveries.ts"
import { createNamedMentor, mailEventsOf, mailsTo, newAddress, settledMails, spoil } from "../support/mails.ts"
import {
  type Database,
  eventually,
  expectTold,
  makeQuick,
  type Pipeline,
  redrive,
  setStatus,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { gate, hangUp } from "../support/proxy.ts"

const recordPath = "/rpc/notification_mail_record"

let pipeline: Pipeline
let database: Database
beforeAll(async () => {
  pipeline = await startPipeline({ resendRequestsPerSecond: 0 })
  database = pipeline.database
  await makeQuick(database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const sendEmail = () => pipeline.stack.functions.get("send-email") ?? assert.fail("there is no send-email")

const outcomesOf = async (eventId: string) =>
  (await database.rows<{ outcome: string }>("select outcome from outbox.event_history($1)", [eventId])).map(
    ({ outcome }) => outcome
  )

const letADayPass = (eventId: string) =>
  database.rows("update outbox.receipts set created_at = created_at - interval '25 hours' where event_id = $1", [
    eventId
  ])

describe("mails to coordinators", () => {
  it("are off until a person switches them on: a notification queues nothing", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Ada", address)
    await setStatus(database, mentorId, "paused")
    await expectTold(database, mentorId, "PAUSE")
    assert.deepStrictEqual(await mailEventsOf(database, mentorId), [])
    const [{ answer } = { answer: "" }] = await database.rows<{ answer: string }>(
      "select outbox.mail_notifications(true) as answer"
    )
    assert.match(answer, /^On: each notification is mailed/)
    assert.deepStrictEqual(await mailsTo(pipeline, address), [], "what was before is not mailed")
  })

  it("are sent once per notification, to its coordinator, with names and times", async () => {
    const [one, other] = [newAddress(), newAddress()]
    const mentorId = await createNamedMentor(pipeline, "Ada <Lovelace>", one, other)
    await setStatus(database, mentorId, "paused", "active")
    const events = await settledMails(database, mentorId, 4)
    assert.isTrue(events.every(({ status }) => status === "completed"))
    for (const address of [one, other]) {
      const mails = await mailsTo(pipeline, address)
      assert.deepStrictEqual(
        mails.map(({ subject }) => subject),
        ["Ada <Lovelace> is paused", "Ada <Lovelace> is back"]
      )
      for (const { html, id, idempotencyKey } of mails) {
        assert.include(html, "Ada &lt;Lovelace&gt;")
        assert.strictEqual(events.find(({ event_id }) => event_id === idempotencyKey)?.receipt?.messageId, id)
      }
    }
    assert.isEmpty(events.filter(({ record }) => /Ada|example\.com/.test(JSON.stringify(record))))
  })

  it("are not doubled by a second delivery", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Bea", address)
    await setStatus(database, mentorId, "paused")
    const [event] = await settledMails(database, mentorId, 1)
    const [{ body } = { body: null }] = await database.rows<{ body: unknown }>(
      "select outbox.body(q) as body from outbox.events q where event_id = $1",
      [event?.event_id]
    )
    const target = { ...pipeline.stack, functionUrl: `${pipeline.stack.apiUrl}/functions/v1/send-email` }
    for (let turn = 0; turn < 2; turn++) {
      assert.strictEqual(await verdict(await deliver(target, body, event?.event_id)), "409 already_processed")
    }
    assert.lengthOf(await mailsTo(pipeline, address), 1)
  })

  it("are not doubled if Resend's answer is lost", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Cid", address)
    await spoil(pipeline, "lost")
    await setStatus(database, mentorId, "paused")
    const [event] = await settledMails(database, mentorId, 1)
    const mails = await mailsTo(pipeline, address)
    assert.deepStrictEqual(
      mails.map(({ id }) => id),
      [event?.receipt?.messageId]
    )
    assert.deepStrictEqual(await outcomesOf(event?.event_id ?? ""), ["transient", "completed"])
  })

  it("are not doubled if the function is killed after Resend accepted and before it stored the receipt", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Dan", address)
    const held = gate(hangUp)
    pipeline.proxy.next(recordPath, "", held.step)
    await setStatus(database, mentorId, "paused")
    await held.reached
    await sendEmail().kill("SIGKILL")
    held.open()
    const [event] = await settledMails(database, mentorId, 1)
    assert.strictEqual(event?.status, "completed")
    assert.lengthOf(await mailsTo(pipeline, address), 1)
    assert.include(await outcomesOf(event?.event_id ?? ""), "lease")
  })

  it("say the same even if the mentor was renamed between two tries", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Eve", address)
    await spoil(pipeline, "500")
    await setStatus(database, mentorId, "paused")
    await eventually("the first try", async () =>
      (await mailEventsOf(database, mentorId)).find(({ failures }) => failures)
    )
    await database.rows("update public.peer_mentor_profiles set full_name = 'Eva' where id = $1", [mentorId])
    await settledMails(database, mentorId, 1)
    assert.deepStrictEqual(
      (await mailsTo(pipeline, address)).map(({ subject }) => subject),
      ["Eve is paused"]
    )
  })

  it("to a bad address become a dead letter that says why, and hold up no others", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Fay", "nobody at home", null, address)
    await setStatus(database, mentorId, "paused", "active")
    const events = await settledMails(database, mentorId, 6)
    const [reasons, completed] = [events.map((event) => event.last_error), events.filter((event) => event.receipt)]
    assert.lengthOf(completed, 2)
    assert.lengthOf(await mailsTo(pipeline, address), 2)
    assert.lengthOf(
      reasons.filter((reason) => reason?.includes("address is malformed: correct it")),
      2
    )
    assert.lengthOf(
      reasons.filter((reason) => reason?.includes("address is missing: correct it")),
      2
    )

    const corrected = newAddress()
    await database.rows("update public.coordinators set email = $1 where email = 'nobody at home'", [corrected])
    const bad = events.find((event) => event.last_error?.includes("malformed"))
    assert.strictEqual(await redrive(database, bad?.event_id ?? ""), "redriven")
    await eventually("the redriven mail", async () => (await mailsTo(pipeline, corrected))[0])
    assert.lengthOf(await mailsTo(pipeline, corrected), 1)
  })

  it("that a used-up quota keeps back are parked, which burns no attempt", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Gil", address)
    await spoil(pipeline, "quota")
    await setStatus(database, mentorId, "paused")
    const event = await eventually("the mail to be parked", async () => {
      const [found] = await mailEventsOf(database, mentorId)
      return found?.last_error?.startsWith("parked") === true ? found : undefined
    })
    assert.isEmpty(await mailsTo(pipeline, address))
    // A new process knows nothing of the quota.
    await sendEmail().kill("SIGKILL")
    const [settled] = await settledMails(database, mentorId, 1)
    assert.deepStrictEqual([settled?.status, settled?.failures], ["completed", 0])
    assert.sameMembers([...new Set(await outcomesOf(event.event_id))], ["parked", "completed"])
    assert.lengthOf(await mailsTo(pipeline, address), 1)
  })

  it("that may have been sent a day ago wait for a person, who forces a redrive", async () => {
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Hal", address)
    const held = gate()
    pipeline.proxy.next(settlePath, "notification-mail", held.step)
    await spoil(pipeline, "500")
    await setStatus(database, mentorId, "paused")
    await held.reached
    const [{ event_id = "" } = {}] = await mailEventsOf(database, mentorId)
    await letADayPass(event_id)
    held.open()
    const dead = async () => (await settledMails(database, mentorId, 1))[0]
    assert.match((await dead())?.last_error ?? "", /may have been mailed/)
    assert.strictEqual(await redrive(database, event_id), "redriven")
    assert.match((await dead())?.last_error ?? "", /may have been mailed/)
    assert.isEmpty(await mailsTo(pipeline, address))
    assert.strictEqual(await redrive(database, event_id, true), "redriven")
    assert.strictEqual((await dead())?.status, "completed")
    assert.lengthOf(await mailsTo(pipeline, address), 1)
  })

  it("leave an address and names in the database only until they are sent", async () => {
    const rows = await database.rows<{ receipt: Readonly<Record<string, unknown>> }>(
      "select r.receipt from outbox.receipts r join outbox.events q using (event_id) where q.status = 'completed' and q.topic = 'notification-mail'"
    )
    assert.isNotEmpty(rows)
    assert.isTrue(rows.every(({ receipt }) => Object.keys(receipt).join() === "messageId"))
  })

  it("stop when a person switches them off", async () => {
    await database.rows("select outbox.mail_notifications(false)")
    const address = newAddress()
    const mentorId = await createNamedMentor(pipeline, "Ida", address)
    await setStatus(database, mentorId, "paused")
    await expectTold(database, mentorId, "PAUSE")
    assert.deepStrictEqual(await mailEventsOf(database, mentorId), [])
  })
})

describe("a direct call of send-email", () => {
  const mail = { to: "ann@example.com", subject: "Hello", html: "<p>Hello</p>" }
  const call = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${pipeline.stack.apiUrl}/functions/v1/send-email`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", apikey: pipeline.stack.serviceKey, ...headers }
    })

  it("sends one mail, and returns it again for the same key", async () => {
    const to = newAddress()
    const headers = { "idempotency-key": `welcome/${to}` }
    const [first, second] = [await call({ ...mail, to }, headers), await call({ ...mail, to }, headers)]
    assert.deepStrictEqual([first.status, second.status], [200, 200])
    const reply = await first.json()
    const [sent, ...others] = await mailsTo(pipeline, to)
    assert.isEmpty(others)
    assert.deepStrictEqual(reply, { success: true, message_id: sent?.id })
    assert.deepStrictEqual(await second.json(), reply)
    assert.strictEqual(sent?.text, "Hello")
  })

  it("says whether a retry can help if Resend fails", async () => {
    await spoil(pipeline, "500")
    const response = await call(mail)
    const problem = await response.json()
    assert.deepStrictEqual([response.status, problem.code, problem.retryable], [502, "handler_unavailable", true])
  })

  it("needs the project's key", async () => {
    assert.strictEqual(await verdict(await call(mail, { apikey: pipeline.stack.publishableKey })), "401 unauthorized")
  })
})
