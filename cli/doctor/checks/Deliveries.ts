import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Check, needsDatabase, needsFunction, needsKey, refused, unseen } from "../Check.ts"
import { type Asked, Facts, type Outbox, type Report } from "../Facts.ts"
import { ok, type Verdict, verdictOf, wrong, type Wrong } from "../Finding.ts"
import { Probe, type Probed } from "../Probe.ts"
import { Sources } from "../Sources.ts"

/** Whether the function at --url answers, and reaches what it needs. */
export const judgeReport = ({ checks }: Report): Verdict => {
  const failing = ["database", "secrets"].flatMap((name) => {
    const check = checks[name]
    // The function can vouch only for its own secrets. Another check covers those in Vault.
    return check === undefined ||
      check.ok ||
      check.detail?.startsWith("Vault") === true ||
      check.detail?.startsWith("unknown") === true
      ? []
      : [
          {
            detail: `${name}: ${check.detail ?? "it is failing"}.`,
            cure: "Correct the function's settings: see README.md."
          }
        ]
  })
  return verdictOf(failing, "answers, and reaches the database")
}

const answers: Check = {
  name: "function",
  check: Effect.gen(function* () {
    const report = yield* (yield* Facts).report
    if (Option.isNone(report)) return needsKey
    const { value } = report
    if (value._tag === "Answered") return judgeReport(value.value)
    if (value._tag === "Unreachable") {
      return wrong(`The function does not answer: ${value.detail}.`, "Is --url right, and the project running?")
    }
    const { status } = value.reply
    return wrong(
      `GET /health of the function answers ${status}.`,
      status === 404
        ? "Deploy it: npx supabase functions deploy --use-api"
        : status === 401
          ? "Give a secret key of this project (sb_secret_…) as --key."
          : "Read the function's log: a setting may be missing, or the bundle cannot start."
    )
  })
}

const orchestrator: Check = {
  name: "orchestrator",
  check: Effect.gen(function* () {
    const report = yield* (yield* Facts).report
    if (Option.isNone(report)) return needsKey
    if (report.value._tag !== "Answered") return needsFunction
    const check = report.value.value.checks["orchestrator"]
    return check?.ok === true
      ? ok("answers the function")
      : wrong(
          `${check?.detail ?? "It is unknown"}.`,
          "Deploy or restore the orchestrator, or correct ORCHESTRATOR_URL."
        )
  })
}

/** What is wrong with the URL of a topic's deliveries. */
export const judgeUrl = ({ answer, topic }: Probed, projectUrl: string | undefined): ReadonlyArray<Wrong> => {
  const isOurs = topic === "pause-status"
  const cure = isOurs
    ? "Run: npx pause-status secrets. It also sets outbox_function_url in Vault."
    : "Correct the URL in Vault. outbox.topics names its secret."
  if (answer._tag === "NoAddress") {
    if (answer.problem.includes("outbox_webhook_secret")) return []
    // The command sets this one, so the advice to use SQL is left out.
    const problem = isOurs ? answer.problem.replace(/: run select .*$/, "") : answer.problem
    return [{ detail: `${topic}: ${problem}.`, cure }]
  }
  const { url } = answer
  if (answer._tag === "Unreachable") return [{ detail: `${url} does not answer: ${answer.detail}.`, cure }]
  if (answer.status === 404 || answer.status === 405) {
    return [{ detail: `Nothing takes deliveries of ${topic} at ${url}: ${answer.status}.`, cure }]
  }
  if (answer.status === 401 && answer.word !== "unauthorized" && answer.word !== "stale_signature") {
    return [
      {
        detail: `Supabase refuses deliveries at ${url} before the function runs: 401.`,
        cure: "Set verify_jwt = false for the function in config.toml, then deploy it again."
      }
    ]
  }
  const isElsewhere = projectUrl !== undefined && isOurs && new URL(url).host !== new URL(projectUrl).host
  return isElsewhere ? [{ detail: `Vault sends ${topic} to ${url}, not to ${projectUrl}.`, cure }] : []
}

/** What is wrong with the secrets, or undefined if the reply says nothing about them. */
export const judgeSecrets = ({ answer, topic }: Probed): ReadonlyArray<Wrong> | undefined => {
  const cure = "Run: npx pause-status secrets"
  if (answer._tag === "NoAddress") {
    return answer.problem.includes("outbox_webhook_secret")
      ? [{ detail: `${topic}: ${answer.problem}.`, cure }]
      : undefined
  }
  if (answer._tag === "Unreachable") return undefined
  if (answer.word === "unauthorized") {
    return [{ detail: `The function refuses what Postgres signs for ${topic}: the secrets differ.`, cure }]
  }
  if (answer.word === "misconfigured") {
    return [{ detail: `The function of ${topic} lacks a setting: its log names it.`, cure: "Set it: see README.md." }]
  }
  // The function verifies the signature before it reads the body.
  const isVerified = answer.word === "no_change" || answer.status === 400 || answer.word === "stale_signature"
  return isVerified ? [] : undefined
}

const toleratedSeconds = 60

/** What is wrong with the clocks, or undefined if the function's is unknown. */
export const judgeClocks = ({ skewSeconds, topic }: Probed): ReadonlyArray<Wrong> | undefined => {
  if (Option.isNone(skewSeconds)) return undefined
  const seconds = skewSeconds.value
  if (Math.abs(seconds) <= toleratedSeconds) return []
  const detail = `The function of ${topic} is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} Postgres.`
  return [{ detail, cure: "Correct the clock that is wrong. At 300 s, every delivery is refused." }]
}

// A function that refuses the key is there.
const isAway = (report: Asked<Report>): boolean =>
  report._tag === "Unreachable" || (report._tag === "Other" && ![401, 403].includes(report.reply.status))

const ofProbes = (
  name: string,
  seen: string,
  judge: (probed: Probed, projectUrl: string | undefined) => ReadonlyArray<Wrong> | undefined
): Check => ({
  name,
  check: Effect.gen(function* () {
    const probes = yield* (yield* Probe).answers
    const report = yield* (yield* Facts).report
    const { project } = yield* Sources
    if (Option.isNone(probes)) return needsDatabase
    // If the function does not answer, another check reports it. The URL may still be right.
    if (Option.isSome(report) && isAway(report.value)) return needsFunction
    const judged = probes.value.map((probed) => judge(probed, Option.getOrUndefined(project)?.url))
    const known = judged.flatMap((list) => (list === undefined ? [] : [list]))
    return known.length === 0 && judged.length > 0 ? needsFunction : verdictOf(known.flat(), seen)
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
})

const vault: Check = {
  name: "vault",
  check: Effect.gen(function* () {
    const outbox = yield* (yield* Facts).outbox
    const { database } = yield* Sources
    if (Option.isNone(outbox)) return yield* unseen
    const { functionUrl, webhookSecret } = outbox.value.vault
    // With the database, a signed delivery says more.
    if (Option.isSome(database))
      return ok(functionUrl && webhookSecret ? "both secrets are there" : "readable; anything missing is named below")
    const missing = [
      ...(functionUrl ? [] : ["outbox_function_url"]),
      ...(webhookSecret ? [] : ["outbox_webhook_secret"])
    ]
    return verdictOf(
      missing.map((name) => ({ detail: `Vault has no usable ${name}.`, cure: "Run: npx pause-status secrets" })),
      "both secrets are there"
    )
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

/** Whether both answers describe the same outbox. Then the last run of some job ended at the same time in both. */
const judgeSame = (one: Pick<Outbox, "jobs">, other: Pick<Outbox, "jobs">): Verdict =>
  one.jobs.some((job) => other.jobs.some(({ lastRunAt, name }) => name === job.name && lastRunAt === job.lastRunAt))
    ? ok("--url and --database-url are the same project")
    : wrong(
        "The function's database is not the one of --database-url.",
        "Pass --url and --database-url of the same project. If they are, correct SUPABASE_URL."
      )

const sameProject: Check = {
  name: "same project",
  check: Effect.gen(function* () {
    const { outbox, report } = yield* Facts
    const { database } = yield* Sources
    const seen = yield* report
    if (Option.isNone(seen)) return needsKey
    if (Option.isNone(database)) return needsDatabase
    const stored = yield* outbox
    if (seen.value._tag !== "Answered" || seen.value.value.queue === null || Option.isNone(stored)) return needsFunction
    return judgeSame(seen.value.value.queue, stored.value)
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

export const checks: ReadonlyArray<Check> = [
  answers,
  sameProject,
  orchestrator,
  vault,
  ofProbes("function url", "a signed delivery reaches the function", judgeUrl),
  ofProbes("secrets", "the function accepts what Postgres signs", judgeSecrets),
  ofProbes("clocks", "Postgres and the function agree", judgeClocks)
]
