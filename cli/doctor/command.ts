import * as Config from "effect/Config"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { cannotRun, NeedsYou } from "../Failure.ts"
import { Output } from "../Output.ts"
import { keyFlag, secretKey } from "../secretKey.ts"
import { canary } from "./Canary.ts"
import { examine, exitCodeOf } from "./Examine.ts"
import { asJson, inWords } from "./Report.ts"
import type { Project } from "./Sources.ts"
import * as SourcesLive from "./SourcesLive.ts"

const flags = {
  databaseUrl: Flag.Redacted("database-url").pipe(
    Flag.withFallbackConfig(Config.Redacted("DATABASE_URL")),
    Flag.optional,
    Flag.withDescription("The database, as role postgres; or DATABASE_URL")
  ),
  url: Flag.String("url").pipe(Flag.optional, Flag.withDescription("The project, https://<ref>.supabase.co")),
  key: keyFlag,
  canary: Flag.Boolean("canary").pipe(
    Flag.withoutNegation,
    Flag.withDefault(false),
    Flag.withDescription("Create a mentor, pause and resume it, then remove it")
  )
}

const projectOf = (url: Option.Option<string>, key: Option.Option<Redacted.Redacted<string>>) =>
  Effect.gen(function* () {
    if (Option.isNone(url)) return Option.none<Project>()
    if (!URL.canParse(url.value) || !/^https?:/.test(url.value)) {
      return yield* cannotRun(`--url is no URL: ${url.value}`, "It looks like this: https://<ref>.supabase.co")
    }
    return Option.some<Project>({ url: new URL(url.value).origin, key: Redacted.value(yield* secretKey(key)) })
  })

/** Checks a running project from outside and inside. Exits with 0, 1 if something is wrong, 2 if it cannot check. */
export const doctor = Command.make(
  "doctor",
  flags,
  Effect.fn("doctor")(function* ({ canary: withCanary, databaseUrl, key, url }) {
    const project = yield* projectOf(url, key)
    if (Option.isNone(project) && Option.isNone(databaseUrl)) {
      return yield* cannotRun(
        "There is nothing to check.",
        "Give --database-url, or --url and --key. With all three, everything is checked."
      )
    }
    if (withCanary && Option.isNone(databaseUrl)) {
      return yield* cannotRun("--canary needs --database-url.", "In the dashboard it is under Connect, Session pooler.")
    }
    const findings = yield* Effect.gen(function* () {
      const found = yield* examine
      return withCanary ? [...found, yield* canary()] : found
    }).pipe(
      Effect.provide(SourcesLive.layer({ databaseUrl, project })),
      Effect.catchTag("QueryFailed", ({ message }) =>
        Effect.fail(
          cannotRun(`The database answers no query: ${message}.`, "Check --database-url. It needs the role postgres.")
        )
      )
    )
    yield* Output.use((output) => output.report(inWords(findings), asJson(findings)))
    if (exitCodeOf(findings) === 1) return yield* new NeedsYou()
  })
).pipe(
  Command.withDescription(
    "Checks a running project, and says how to fix what is wrong.\n" +
      "  Changes nothing, except with --canary. Exits with 0 if nothing is wrong, 1 if\n" +
      "  something is, 2 if it cannot check."
  ),
  Command.withShortDescription("Checks a running project, and says what to do.")
)
