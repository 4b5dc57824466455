import { Effect, Layer } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Fault as ResendFault } from "../../local/resend/api.ts"
import type { StoredMail } from "../../local/resend/outbox.ts"
import { startResend } from "../../local/resend/server.ts"
import * as MailerResend from "../../src/layers/MailerResend.ts"
import { config } from "../support/layers.ts"
import { type Fault, mailerContract } from "../services/MailerContract.ts"

const key = "re_contract"

const faults: Readonly<Record<Fault, ResendFault>> = {
  limit: "429",
  fail: "500",
  hang: "hang",
  "accept and lose the reply": "lost"
}

const mailOf = ({ from, html = "", idempotencyKey, subject, text = "", to }: StoredMail) => ({
  to: to.join(),
  subject,
  html,
  text,
  from,
  ...(idempotencyKey !== undefined && { idempotencyKey })
})

const open = Effect.gen(function* () {
  const now = yield* Effect.clockWith((clock) => Effect.succeed(() => clock.currentTimeMillisUnsafe()))
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "resend-test-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const resend = yield* Effect.acquireRelease(
    Effect.promise(() => startResend({ apiKey: key, folder, requestsPerSecond: 0, now })),
    (server) => Effect.promise(() => server[Symbol.asyncDispose]())
  )
  const settings = { RESEND_API_KEY: key, RESEND_BASE_URL: resend.url, MAIL_FROM: "unused@example.com" }
  return {
    layer: Layer.provide(MailerResend.layer, config(settings)),
    sent: () => resend.mails().map((stored) => ({ id: stored.id, mail: mailOf(stored) })),
    plan: (...planned: ReadonlyArray<Fault>) => void resend.faults.push(...planned.map((fault) => faults[fault])),
    planned: () => resend.faults.length
  }
})

mailerContract("MailerResend, over the stand-in for Resend,", open)
