import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import { Database } from "../Database.ts"
import { cannotRun, type Failure } from "../Failure.ts"
import { confirm, dryRunFlag, switchFlag, yesFlag } from "../ask.ts"
import { Output } from "../Output.ts"
import { functionNames } from "../Release.ts"
import { FunctionSecrets } from "./FunctionSecrets.ts"
import { type Mode, next, split } from "./rotation.ts"
import { Supabase } from "./Supabase.ts"
import { SECRET, URL_NAME, Vault } from "./Vault.ts"

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

const flags = {
  directory: Argument.String("dir").pipe(Argument.withDefault("."), Argument.withDescription("The project's folder")),
  projectRef: text("project-ref", "The project; default: the linked one"),
  databaseUrl: Flag.Redacted("database-url").pipe(
    Flag.optional,
    Flag.withDescription("Reach Vault directly, not through the Supabase CLI")
  ),
  functionUrl: text("function-url", "Where Postgres sends events"),
  // Not --env-file: Node reads that flag itself, wherever it stands.
  envFile: text("functions-env", "Write the functions' environment to this file"),
  rotate: switchFlag("rotate", "Add a new secret next to the old one"),
  retire: switchFlag("retire", "Remove the old secret, ten minutes later"),
  dryRun: dryRunFlag,
  yes: yesFlag
}

const PATH = `/functions/v1/${functionNames[0]}/api/v1/webhooks/pause-status`

const linkedRef = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(directory, "supabase", ".temp", "project-ref")
  return (yield* fs.exists(file)) ? Option.some((yield* fs.readFileString(file)).trim()) : Option.none<string>()
})

interface Given {
  readonly directory: string
  readonly projectRef: Option.Option<string>
  readonly databaseUrl: Option.Option<Redacted.Redacted<string>>
  readonly functionUrl: Option.Option<string>
  readonly envFile: Option.Option<string>
}

/** Where both sides are. A linked project has both, and its URL is known. */
const sides = Effect.fnUntraced(function* ({ databaseUrl, directory, envFile, functionUrl, projectRef }: Given) {
  const ref = Option.isSome(projectRef) ? projectRef : yield* linkedRef(directory)
  const isHosted = Option.isNone(databaseUrl) || Option.isNone(envFile)
  if (isHosted && Option.isNone(ref))
    return yield* cannotRun(
      "No project: this folder is not linked, and there is no --project-ref.",
      "Run npx supabase link first. For a project that is not hosted by Supabase, pass --database-url, --function-url and --functions-env."
    )
  const url = Option.orElse(functionUrl, () => Option.map(ref, (ref) => `https://${ref}.supabase.co${PATH}`))
  if (Option.isNone(url))
    return yield* cannotRun("There is no function URL.", `Pass --function-url https://<host>${PATH}`)
  if (!/^https?:\/\/[^/?#\s]\S*$/.test(url.value))
    return yield* cannotRun(`${url.value} is not the URL of a function.`, "It must begin with https:// or http://.")
  const project = Option.getOrElse(ref, () => "")
  const vault: Layer.Layer<Vault, Failure, Supabase> = Option.isSome(databaseUrl)
    ? Vault.layerDatabase.pipe(Layer.provide(Database.layer(databaseUrl.value)))
    : Vault.layerLinked(project)
  const functions: Layer.Layer<FunctionSecrets, never, Supabase | FileSystem.FileSystem> = Option.isSome(envFile)
    ? FunctionSecrets.layerFile(envFile.value)
    : FunctionSecrets.layerHosted(project)
  return { url: url.value, layer: Layer.merge(vault, functions).pipe(Layer.provide(Supabase.layer(directory))) }
})

const agree = Effect.fnUntraced(function* (
  mode: Mode,
  url: string,
  { dryRun, yes }: { dryRun: boolean; yes: boolean }
) {
  const output = yield* Output
  const vault = yield* Vault
  const functions = yield* FunctionSecrets
  const kept = yield* vault.read
  const fresh = `whsec_${randomBytes(32).toString("base64")}`
  const { first, secrets, what } = yield* Effect.fromResult(next(mode, split(kept.get(SECRET) ?? ""), fresh))
  const before = kept.get(URL_NAME)
  const steps = {
    function: { line: `  WEBHOOK_SECRETS of ${functions.where}: ${what}`, write: functions.write(secrets) },
    postgres: {
      line: `  ${SECRET} in Vault: ${what}`,
      write: vault.write({ [SECRET]: secrets.join(" "), [URL_NAME]: url })
    }
  }
  const order = first === "function" ? [steps.function, steps.postgres] : [steps.postgres, steps.function]
  const plan = [
    "Sets, in this order:",
    ...order.map(({ line }) => line),
    `  ${URL_NAME} in Vault: ${url}${before === undefined || before === url ? "" : `, instead of ${before}`}`
  ]
  const value = { dryRun, mode, secrets: secrets.length, functionUrl: url }
  if (dryRun) return yield* output.report([...plan, "", "This was a dry run: nothing was changed."], value)
  yield* output.note(...plan)
  if (!(yield* confirm(yes))) return yield* output.report(["Nothing was changed."], { ...value, dryRun: true })
  for (const { write } of order) yield* write
  const then =
    mode === "rotate"
      ? [
          "Wait ten minutes, so that deliveries signed with the old secret alone have arrived. Then run:",
          "  npx pause-status secrets --retire"
        ]
      : []
  yield* output.report(
    ["Done. Postgres and the function have the same secret.", ...functions.afterwards, ...then],
    value
  )
})

export const secrets = Command.make(
  "secrets",
  flags,
  Effect.fn("secrets")(function* ({ dryRun, retire, rotate, yes, ...given }) {
    if (rotate && retire) return yield* cannotRun("--rotate and --retire exclude each other.", "Rotate first.")
    const { layer, url } = yield* sides(given)
    const mode = rotate ? "rotate" : retire ? "retire" : "agree"
    yield* agree(mode, url, { dryRun, yes }).pipe(Effect.provide(layer))
  })
).pipe(Command.withDescription("Gives Postgres and the function the same secret. Safe to repeat."))
