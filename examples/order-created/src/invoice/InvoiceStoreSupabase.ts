import { StorageClient } from "@supabase/storage-js"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { InvoiceStore, InvoiceStoreFailed } from "./InvoiceStore.ts"
import * as Project from "./Project.ts"
import * as Settings from "./Settings.ts"

const bucket = "invoices"
const contentType = "application/pdf"
const oneDaySeconds = 86_400

interface Refusal {
  readonly message: string
  readonly status?: number | undefined
  readonly statusCode?: string | undefined
}

// Storage answers most refusals with 400. The real status is in the body.
const statusOf = ({ status, statusCode }: Refusal): number => Number(statusCode ?? status ?? 0)

const failed = (refusal: Refusal) => {
  const status = statusOf(refusal)
  const retryable = !(status >= 400 && status < 500) || status === 408 || status === 429
  const detail = status > 0 ? `status ${status}, ${refusal.message}` : "no connection"
  return new InvoiceStoreFailed({ detail, retryable })
}

const ask = <A>(run: () => Promise<{ readonly data: A; readonly error: Refusal | null }>) =>
  Project.answerOf(run, (detail) => new InvoiceStoreFailed({ detail, retryable: true }))

const decodeClaims = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ exp: Schema.Finite })))

const expiryOf = (url: string): Option.Option<number> => {
  const token = URL.parse(url)?.searchParams.get("token") ?? ""
  const claims = Option.liftThrowable(atob)((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"))
  return Option.map(Option.flatMap(claims, decodeClaims), ({ exp }) => exp)
}

/** Supabase Storage, with signed URLs. The first invoice creates the private bucket invoices. */
export const layer = Layer.effect(
  InvoiceStore,
  Effect.gen(function* () {
    const { fetch, headers, url } = yield* Project.connection
    const linkSeconds = yield* Settings.linkSeconds
    const storage = new StorageClient(new URL("/storage/v1", url).href, headers, fetch)
    const files = storage.from(bucket)

    const upload = (path: string, pdf: Uint8Array<ArrayBuffer>) =>
      ask(() => files.upload(path, pdf, { contentType, upsert: true }))

    const makeBucket = Effect.gen(function* () {
      const { error } = yield* ask(() =>
        storage.createBucket(bucket, { public: false, allowedMimeTypes: [contentType] })
      )
      // Another request may have just created it.
      if (error !== null && statusOf(error) !== 409) return yield* failed(error)
    })

    return InvoiceStore.of({
      save: Effect.fn("InvoiceStore.save")(function* (orderId, pdf) {
        const path = `${orderId}.pdf`
        let { error } = yield* upload(path, pdf)
        if (error !== null && statusOf(error) === 404) {
          yield* makeBucket
          error = (yield* upload(path, pdf)).error
        }
        if (error !== null) return yield* failed(error)
      }),
      link: Effect.fn("InvoiceStore.link")(function* (orderId, known) {
        const tomorrow = (yield* Clock.currentTimeMillis) / 1_000 + oneDaySeconds
        if (known !== null && Option.exists(expiryOf(known), (expiry) => expiry >= tomorrow)) return known
        const { data, error } = yield* ask(() => files.createSignedUrl(`${orderId}.pdf`, linkSeconds))
        return data === null ? yield* failed(error ?? { message: "no link" }) : data.signedUrl
      })
    })
  })
)
