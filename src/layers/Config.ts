import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

declare const Deno: { readonly env: { readonly toObject: () => Record<string, string> } } | undefined

/** A setting is missing or wrong. Names the setting and what to do; never holds its value. */
export class Misconfigured extends Data.TaggedError("Misconfigured")<{
  readonly key: string
  readonly hint: string
}> {
  override get message(): string {
    return `${this.key}: ${this.hint}`
  }
}

const environment = (): Readonly<Record<string, string | undefined>> =>
  typeof Deno === "undefined" ? { ...process.env } : Deno.env.toObject()

/**
 * The texts that settings are read from. A record read by hand instead of effect/Config: that module and its provider
 * are a twentieth of the bundle, and these settings are flat.
 */
export const Environment = Context.Reference("pause-status-webhook-handler/layers/Environment", {
  defaultValue: environment
})

/** Reads the process's environment when the layer is built, so that a later build sees later settings. */
export const fromEnvironment = Layer.sync(Environment, environment)

/** What a text says, or nothing when it is no such setting. By hand: schemas would be set up at each cold start. */
type Read<A> = (text: string) => A | undefined

// What reads a setting is marked as free of side effects, so that a bundle holds nothing of settings that it does not use.

/** A setting that may be left out; an empty text counts as that. */
/* @__NO_SIDE_EFFECTS__ */
const optional = <A>(key: string, read: Read<A>, hint: string): Effect.Effect<Option.Option<A>, Misconfigured> =>
  Effect.flatMap(Environment, (texts) => {
    const text = texts[key]
    if (text === undefined || text === "") return Effect.succeedNone
    const value = read(text)
    return value === undefined ? Effect.fail(new Misconfigured({ key, hint })) : Effect.succeedSome(value)
  })

/* @__NO_SIDE_EFFECTS__ */
const withDefault = <A>(key: string, read: Read<A>, fallback: NoInfer<A>, hint: string) =>
  Effect.map(
    optional(key, read, `${hint}, or leave it out for ${fallback}`),
    Option.getOrElse(() => fallback)
  )

/* @__NO_SIDE_EFFECTS__ */
const required = <A>(key: string, read: Read<A>, hint: string): Effect.Effect<A, Misconfigured> =>
  Effect.flatMap(optional(key, read, hint), (value) =>
    Option.isSome(value) ? Effect.succeed(value.value) : Effect.fail(new Misconfigured({ key, hint }))
  )

const readUrl = (text: string) => URL.parse(text) ?? undefined

/* @__NO_SIDE_EFFECTS__ */
const numberIf =
  (isRight: (value: number) => boolean): Read<number> =>
  (text) =>
    isRight(Number(text)) ? Number(text) : undefined

/* @__NO_SIDE_EFFECTS__ */
const oneOf =
  <const Word extends string>(words: ReadonlyArray<Word>): Read<Word> =>
  (text) =>
    words.find((word) => word === text)

const readPositive = numberIf((value) => value > 0 && Number.isFinite(value))

/* @__NO_SIDE_EFFECTS__ */
const positive = (key: string, fallback: number, unit: string) =>
  withDefault(key, readPositive, fallback, `set a number of ${unit} above 0`)

/* @__NO_SIDE_EFFECTS__ */
const optionalSecret = (key: string) => optional(key, (text) => Redacted.make(text), "set it to text, or leave it out")

/** A secret that people make up themselves: a short one would be found by trying. */
const longSecret = /* @__PURE__ */ Effect.fnUntraced(function* (key: string, shortest: number) {
  const secret = yield* optionalSecret(key)
  if (Option.isNone(secret) || Redacted.value(secret.value).length >= shortest) return secret
  return yield* new Misconfigured({ key, hint: `set it to ${shortest} characters or more, or leave it out` })
})

const webhookSecret = /^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const shortestSecret = "whsec_".length + 32

/** Standard Webhooks secrets, newest first, separated by spaces or commas; none when only another scheme is on. */
export const webhookSecrets = /* @__PURE__ */ Effect.gen(function* () {
  const key = "WEBHOOK_SECRETS"
  const value = yield* optionalSecret(key)
  if (Option.isNone(value)) return []
  const secrets = Redacted.value(value.value)
    .split(/[\s,]+/)
    .filter((secret) => secret !== "")
  const wrong = secrets.findIndex((secret) => !webhookSecret.test(secret) || secret.length < shortestSecret)
  if (wrong === -1) return secrets.map((secret) => Redacted.make(secret))
  return yield* new Misconfigured({
    key,
    hint: `secret ${wrong + 1} of ${secrets.length} is not whsec_ followed by the base64 of 24 bytes or more`
  })
})

/** For senders that sign `timestamp.body` in hex (X-Webhook-Signature); off unless set. */
export const webhookHexSecret = /* @__PURE__ */ longSecret("WEBHOOK_HEX_SECRET", 16)

/** For stock dashboard webhooks, which can only send fixed headers (X-Webhook-Secret); off unless set. */
export const webhookStaticSecret = /* @__PURE__ */ longSecret("WEBHOOK_STATIC_SECRET", 16)

/** How far a signature's timestamp may be from our clock. Seconds. */
export const webhookTolerance = positive("WEBHOOK_TOLERANCE_SECONDS", 300, "seconds")

/** The largest body that is read. Bytes. */
export const maxBodyBytes = positive("MAX_BODY_BYTES", 262_144, "bytes")

/** How long a body may take to arrive. Milliseconds. */
export const bodyTimeout = positive("BODY_TIMEOUT_MS", 5_000, "milliseconds")

/** The project's URL; Supabase sets it. */
export const supabaseUrl = required(
  "SUPABASE_URL",
  readUrl,
  "set the project's URL, such as https://abcdefgh.supabase.co"
)

const keyRing = /* @__PURE__ */ Schema.decodeEffect(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.NonEmptyString))
)
const legacyKey = "SUPABASE_SERVICE_ROLE_KEY"

/** The project's secret keys, the default one first; Supabase sets them, the legacy service role key among them. */
export const supabaseSecretKeys = /* @__PURE__ */ Effect.gen(function* () {
  const key = "SUPABASE_SECRET_KEYS"
  const ring = yield* optionalSecret(key)
  const legacy = yield* optionalSecret(legacyKey)
  const named = Option.isNone(ring)
    ? {}
    : yield* keyRing(Redacted.value(ring.value)).pipe(
        Effect.mapError(() => new Misconfigured({ key, hint: 'set JSON such as {"default":"sb_secret_…"}' }))
      )
  const { default: first, ...others } = named
  const keys = [...(first === undefined ? [] : [first]), ...Object.values(others)].map((value) => Redacted.make(value))
  const all = [...keys, ...Option.toArray(legacy)]
  if (all.length > 0) return all
  return yield* new Misconfigured({
    key,
    hint: `set it, or ${legacyKey}, to the project's secret key`
  })
})

/** Who issues users' tokens; by default the project's Auth. */
export const jwtIssuer = /* @__PURE__ */ Effect.gen(function* () {
  const issuer = yield* optional("JWT_ISSUER", (text) => text, "set it to the iss of users' tokens, or leave it out")
  return Option.isSome(issuer) ? issuer.value : new URL("/auth/v1", yield* supabaseUrl).href
})

/** Where the project publishes the keys that it signs users' tokens with. */
export const jwksUrl = /* @__PURE__ */ Effect.map(supabaseUrl, (url) => new URL("/auth/v1/.well-known/jwks.json", url))

/** How long the project's signing keys may take to come. Milliseconds. */
export const jwksTimeout = positive("JWKS_TIMEOUT_MS", 3_000, "milliseconds")

/**
 * The secret of a project that still signs users' tokens with HS256; such tokens are refused unless it is set. A hosted
 * function cannot be given a variable whose name begins with SUPABASE_, hence the other name.
 */
export const jwtSecret = /* @__PURE__ */ Effect.gen(function* () {
  const secret = yield* longSecret("JWT_SECRET", 32)
  return Option.isSome(secret) ? secret : yield* longSecret("SUPABASE_JWT_SECRET", 32)
})

const orchestratorBeside = /* @__PURE__ */ Effect.map(
  supabaseUrl,
  (url) => new URL("/functions/v1/pause-notification-orchestrator", url)
)

/** Where the orchestrator is; by default the Edge Function beside this one. */
export const orchestratorUrl = /* @__PURE__ */ Effect.gen(function* () {
  const url = yield* optional(
    "ORCHESTRATOR_URL",
    readUrl,
    "set an absolute URL, or leave it out for the function pause-notification-orchestrator"
  )
  return Option.isSome(url) ? url.value : yield* orchestratorBeside
})

/** Whether the orchestrator takes an array of events; by default only ours is known to. */
export const orchestratorBatch = /* @__PURE__ */ Effect.gen(function* () {
  const chosen = yield* optional(
    "ORCHESTRATOR_BATCH",
    oneOf(["true", "false"]),
    "set true or false, or leave it out: true for the function pause-notification-orchestrator"
  )
  if (Option.isSome(chosen)) return chosen.value === "true"
  return (yield* orchestratorUrl).href === (yield* orchestratorBeside).href
})

/** What takes the events: an orchestrator over HTTP, or a task of Trigger.dev. */
export const orchestrator = withDefault(
  "ORCHESTRATOR",
  oneOf(["http", "trigger.dev"]),
  "http",
  "set http or trigger.dev"
)

/** Where the API of Trigger.dev is; another one is self-hosted. */
export const triggerUrl = /* @__PURE__ */ Effect.map(
  optional("TRIGGER_API_URL", readUrl, "set an absolute URL, or leave it out for https://api.trigger.dev"),
  /* @__PURE__ */ Option.getOrElse(() => new URL("https://api.trigger.dev"))
)

/** The secret key of the environment of Trigger.dev that the tasks are deployed to. */
export const triggerSecretKey = required(
  "TRIGGER_SECRET_KEY",
  (text) => Redacted.make(text),
  "set it to the secret key of the environment, tr_prod_…"
)

/** The task that is triggered for each event. */
export const triggerTask = withDefault("TRIGGER_TASK", (text) => text, "notify-coordinators", "set the id of a task")

/** A bearer key for an orchestrator outside the project, which never gets the project's own key. */
export const orchestratorKey = optionalSecret("ORCHESTRATOR_KEY")

/** How long one call of the orchestrator may take. Milliseconds. */
export const orchestratorTimeout = positive("ORCHESTRATOR_TIMEOUT_MS", 2_000, "milliseconds")

/** How long all tries and pauses of one event may take; below pg_net's 5 s and the lease. Milliseconds. */
export const orchestratorBudget = positive("ORCHESTRATOR_BUDGET_MS", 4_000, "milliseconds")

/** How often a failed call is tried again within the budget; 0 leaves it to the sender. */
export const orchestratorRetries = withDefault(
  "ORCHESTRATOR_RETRIES",
  numberIf((value) => Number.isInteger(value) && value >= 0 && value <= 10),
  2,
  "set a whole number from 0 to 10"
)

/** How long after its start a delivery takes further events; below pg_net's 5 s and the lease. Milliseconds. */
export const continueMillis = withDefault(
  "CONTINUE_MS",
  numberIf((value) => value >= 0 && value <= 10_000),
  1_500,
  "set a number of milliseconds from 0, which switches it off, to 10000"
)

/** How many calls in a row must fail for the circuit to open. */
export const circuitFailures = positive("CIRCUIT_FAILURES", 5, "failed calls")

/** How long an open circuit keeps calls back before one probes. Milliseconds. */
export const circuitOpen = positive("CIRCUIT_OPEN_MS", 10_000, "milliseconds")

/** Where Resend's API is. */
export const resendUrl = /* @__PURE__ */ Effect.map(
  optional("RESEND_BASE_URL", readUrl, "set an absolute URL, or leave it out for https://api.resend.com"),
  /* @__PURE__ */ Option.getOrElse(() => new URL("https://api.resend.com"))
)

/** The key that mails are sent with; none are sent without it. */
export const resendKey = optionalSecret("RESEND_API_KEY")

const sender = /^(?:[^<>\p{Cc}]+ <[^\s<>@",;]+@[^\s<>@",;]+\.[^\s<>@",;]+>|[^\s<>@",;]+@[^\s<>@",;]+\.[^\s<>@",;]+)$/u

/** Who mails are from; none are sent without it. */
export const mailFrom = optional(
  "MAIL_FROM",
  (text) => (sender.test(text) ? text : undefined),
  "set an address, or a name and an address such as Mentoring <mail@example.com>"
)

const readTimeZone = (text: string): string | undefined =>
  Result.getOrUndefined(Result.try(() => new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone))

/** The time zone of the times in mails. */
export const mailTimeZone = withDefault("MAIL_TIME_ZONE", readTimeZone, "UTC", "set a time zone such as Europe/Berlin")

/** How long one call of Resend may take; below pg_net's 5 s and the lease. Milliseconds. */
export const resendTimeout = positive("RESEND_TIMEOUT_MS", 4_000, "milliseconds")

/** What an uptime monitor sends to GET /health, which answers it with a status and no figures; off unless set. */
export const healthToken = /* @__PURE__ */ longSecret("HEALTH_TOKEN", 16)

/** What Prometheus sends to GET /metrics; off unless set. */
export const metricsToken = /* @__PURE__ */ longSecret("METRICS_TOKEN", 16)

/** How long one call of the claim store may take. Milliseconds. */
export const storeTimeout = positive("STORE_TIMEOUT_MS", 3_000, "milliseconds")

const levels = ["Trace", "Debug", "Info", "Warn", "Error", "None"] as const

/** The least severe level that is logged. */
export const logLevel = withDefault("LOG_LEVEL", oneOf(levels), "Info", `set one of ${levels.join(", ")}`)
