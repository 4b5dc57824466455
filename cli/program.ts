import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import { packageVersion } from "../src/schema/PackageVersion.ts"
import { console } from "./console/command.ts"
import { doctor } from "./doctor/command.ts"
import { cannotRun } from "./Failure.ts"
import { install, uninstall, upgrade } from "./install/command.ts"
import { Output } from "./Output.ts"
import { secrets } from "./secrets/command.ts"

// Declared so that --help lists it. The code looks for it in the raw arguments, so that an invalid command line is
// answered in JSON, too.
const json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDefault(false),
    Flag.withDescription("Print one line of JSON")
  )
})

const root = Command.make("pause-status").pipe(
  Command.withDescription("Installs and maintains the outbox of pause-status in a Supabase project."),
  Command.withGlobalFlags([json]),
  Command.withSubcommands([install, upgrade, uninstall, secrets, doctor, console])
)

const usageOf = (path: ReadonlyArray<string>) => `Run: npx ${path.join(" ")} --help`

const presenter: CliOutput.Presenter = {
  present: (event) => (event._tag === "InvalidInvocation" ? Effect.void : CliOutput.defaultPresenter.present(event))
}

/** Runs one command line, without the program's name, and prints the result. */
export const run = Effect.fn("run")(
  function* (args: ReadonlyArray<string>) {
    yield* Command.runWith(root, { version: packageVersion })(args)
  },
  Effect.catchTag("ShowHelp", ({ commandPath, errors }) =>
    errors.length === 0
      ? Effect.void
      : Effect.fail(cannotRun(errors.map(({ message }) => message).join("\n"), usageOf(commandPath)))
  ),
  Effect.catchTag("PlatformError", ({ message }) => Effect.fail(cannotRun(message))),
  Effect.tapErrorTag("Failure", ({ hint, message }) =>
    Effect.flatMap(Output, (output) =>
      output.failure(hint === undefined ? [message] : [message, hint], { error: message, hint })
    )
  ),
  (effect, args) =>
    effect.pipe(
      Effect.provideService(Output, args.includes("--json") ? Output.json : Output.text),
      Effect.provideService(CliOutput.Presenter, presenter),
      Effect.provideService(CliConfig.CliConfig, CliConfig.make({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }))
    )
)
