import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { type Database, functionUrl, newSecret, openDatabase, pausedEvents, storeSecret } from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

interface Health extends Readonly<Record<string, unknown>> {
  readonly alertsOpen: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly jobs: ReadonlyArray<{
    readonly name: string
    readonly scheduled: boolean
    readonly lastRunAt: string | null
  }>
  readonly vault: { readonly functionUrl: boolean; readonly webhookSecret: boolean }
}

describe("the report on health", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const health = () => own.call<Health>("outbox_health", {})

  it("is all zeros, and both secrets missing, before anything has happened", async () => {
    const { jobs, lastSweepAt, ...rest } = await health()
    assert.match(String(lastSweepAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    assert.deepStrictEqual<unknown>(rest, {
      oldestUnnotifiedSeconds: 0,
      oldestUnnotifiedThreshold: 300,
      pending: 0,
      processing: 0,
      failed: 0,
      deadLettersOpen: 0,
      withoutRecipients: 0,
      failureRatePercent: 0,
      expiredLeases: 0,
      alertsOpen: [],
      topics: [{ topic: "pause-status", attached: true, enabled: true }],
      vault: { functionUrl: false, webhookSecret: false }
    })
    assert.deepStrictEqual(
      jobs.map(({ name }) => name),
      ["alert", "direct", "reconcile", "retention", "sweep", "watch"]
    )
    for (const { lastRunAt, name, ...job } of jobs) {
      assert.match(String(lastRunAt), /Z$/, name)
      assert.deepStrictEqual(job, { scheduled: true })
    }
  })

  it("counts what is pending, claimed, failed, and an open dead letter, and how long the oldest waits", async () => {
    await storeSecret(own, "outbox_function_url", functionUrl)
    await storeSecret(own, "outbox_webhook_secret", newSecret())
    for (const state of ["pending", "pending again", "processing", "completed", "failed", "resolved"] as const) {
      await inState[state](own)
    }
    await own.rows(`update outbox.events set created_at = created_at - interval '90 seconds' where status = 'pending'`)
    const report = await health()
    assert.deepInclude(report, { pending: 2, processing: 1, failed: 2, deadLettersOpen: 1, failureRatePercent: 75 })
    assert.isAtLeast(Number(report["oldestUnnotifiedSeconds"]), 90)
  })

  it("shows the open alerts, the oldest first, and what to do about them", async () => {
    await inState.failed(own)
    await pausedEvents(own, 1)
    await own.rows("update outbox.events set created_at = created_at - interval '1 day'")
    await own.rows("select outbox.watch()")
    const { alertsOpen } = await health()
    assert.sameMembers(
      alertsOpen.map(({ kind }) => kind),
      ["oldest_unnotified", "dead_letters"]
    )
    const [alert = {}] = alertsOpen
    assert.sameMembers(Object.keys(alert), ["kind", "since", "lastSeenAt", "value", "threshold", "detail"])
    await own.rows("delete from outbox.events")
    await own.rows("select outbox.watch()")
    assert.deepStrictEqual((await health()).alertsOpen, [])
  })

  it.for([
    { url: functionUrl, secret: newSecret(), functionUrl: true, webhookSecret: true },
    { url: functionUrl, secret: `${newSecret()} ${newSecret()}`, functionUrl: true, webhookSecret: true },
    { url: "/functions/v1/of-no-host", secret: newSecret(), functionUrl: false, webhookSecret: true },
    { url: "  ", secret: "whsec_not*base64*marker", functionUrl: false, webhookSecret: false },
    { url: "ftp://marker.example", secret: "marker-without-prefix", functionUrl: false, webhookSecret: false }
  ])("says whether the secrets are usable, and reveals nothing of them: %o", async ({ url, secret, ...usable }) => {
    await storeSecret(own, "outbox_function_url", url)
    await storeSecret(own, "outbox_webhook_secret", secret)
    const report = await health()
    assert.deepStrictEqual(report.vault, usable)
    const text = JSON.stringify(report)
    for (const part of [...secret.split(" "), ...secret.split("_"), url.trim()].filter((part) => part.length > 6)) {
      assert.notInclude(text, part)
    }
  })
})
