import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, pausePayload, queue, verdict } from "../support/deliveries.ts"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makeQuick,
  type Pipeline,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"
import { newSecret } from "../support/sql.ts"

const [newer, older, unknown] = [newSecret(), newSecret(), newSecret()]

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { WEBHOOK_SECRETS: `${newer} ${older}` } })
  await makeQuick(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const keepInVault = (...secrets: ReadonlyArray<string>) =>
  pipeline.database.rows("select vault.update_secret(id, $1) from vault.secrets where name = 'outbox_webhook_secret'", [
    secrets.join(" ")
  ])

const refusals = () => pipeline.log.filter(({ text }) => text.includes("SignatureRejected"))

const deliverSignedWith = async (webhookSecret: string) => {
  const eventId = randomUUID()
  const payload = await queue(pipeline.database, pausePayload(randomUUID(), eventId))
  return deliver({ ...pipeline.stack, webhookSecret }, payload, eventId)
}

describe("rotating the webhook secret", () => {
  it("the handler accepts either of its two secrets and no other", async () => {
    assert.strictEqual((await deliverSignedWith(newer)).status, 200)
    assert.strictEqual((await deliverSignedWith(older)).status, 200)
    const before = refusals().length
    assert.strictEqual(await verdict(await deliverSignedWith(unknown)), "401 unauthorized")
    await eventually("the refusal in the handler's log", () => refusals()[before])
  })

  const vaults: ReadonlyArray<readonly [name: string, secrets: ReadonlyArray<string>]> = [
    ["the older one only", [older]],
    ["the newer one only", [newer]],
    ["both", [newer, older]],
    ["one the handler does not know yet, and the older one", [unknown, older]]
  ]
  for (const [name, secrets] of vaults) {
    it(`with ${name} in Vault a change is notified once, at the first attempt`, async () => {
      const { database } = pipeline
      await keepInVault(...secrets)
      const mentorId = await createMentor(database)
      const before = refusals().length
      await setStatus(database, mentorId, "paused")
      await expectTold(database, mentorId, "PAUSE")
      assert.lengthOf(refusals(), before)
    })
  }

  it("a secret in Vault that the handler does not know loses nothing: once correct, it notifies", async () => {
    const { database } = pipeline
    await keepInVault(unknown)
    const mentorId = await createMentor(database)
    const before = refusals().length
    await setStatus(database, mentorId, "paused")
    await eventually("a refusal in the handler's log", () => refusals()[before])
    assert.strictEqual((await eventsOf(database, mentorId))[0]?.status, "pending")
    await keepInVault(newer)
    await expectTold(database, mentorId, "PAUSE")
  })

  it("an unreadable secret in Vault fails no UPDATE, and the error says what to do without quoting it", async () => {
    const { database } = pipeline
    await keepInVault("whsec_not-base64!")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    const event = await eventually("the error", async () =>
      (await eventsOf(database, mentorId)).find(({ last_error }) => last_error !== null)
    )
    assert.include(event?.last_error ?? "", "outbox_webhook_secret")
    assert.notInclude(event?.last_error ?? "", "not-base64")
    await keepInVault(newer)
    await expectTold(database, mentorId, "PAUSE")
  })
})
