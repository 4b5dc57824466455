import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { cannotRun, NeedsYou, refused } from "../Failure.ts"
import { Output } from "../Output.ts"
import { MAIL, Release } from "../Release.ts"
import { confirm, dryRunFlag, switchFlag, yesFlag } from "../ask.ts"
import { askWatched, flags } from "./ask.ts"
import { apply, readProject } from "./files.ts"
import { MANIFEST } from "./Manifest.ts"
import { afterInstall, afterUninstall, type Command as NextCommand, describeNext } from "./next.ts"
import { hasMail, planInstall, planUninstall, type Project, type Step } from "./plan.ts"
import { changes, describePlan, needYou, planJson } from "./show.ts"
import { describe } from "./Watched.ts"

const directory = Argument.String("dir").pipe(
  Argument.withDefault("."),
  Argument.withDescription("The project's folder, which contains supabase")
)

const notPushed = (then: string) => switchFlag("not-pushed", `The migrations were never pushed: ${then}`)

interface Run {
  readonly project: Project
  readonly steps: ReadonlyArray<Step>
  readonly intro: ReadonlyArray<string>
  /** What to print if there is nothing to do. */
  readonly settled: string
  readonly next: readonly [heading: string, commands: ReadonlyArray<NextCommand>]
  readonly dryRun: boolean
  readonly yes: boolean
}

/** Shows the plan, asks, and carries it out. */
const carryOut = Effect.fnUntraced(function* ({ dryRun, intro, next, project, settled, steps, yes }: Run) {
  const output = yield* Output
  const isChange = changes(steps)
  const plan = [`Project: ${project.directory.replace(/.supabase$/, "")}`, ...intro, "", ...describePlan(steps)]
  const value = {
    directory: project.directory,
    dryRun,
    steps: planJson(steps),
    next: next[1].map(({ command }) => command)
  }
  const notes = needYou(steps) ? ["", 'Some files need you: see "keep" above.'] : []
  if (dryRun || !isChange) {
    const end = isChange ? "This was a dry run: nothing was changed." : `${settled} Nothing was changed.`
    yield* output.report([...plan, ...notes, ...(isChange || describePlan(steps).length > 0 ? [""] : []), end], value)
  } else {
    yield* output.note(...plan)
    if (!(yield* confirm(yes))) return yield* output.report(["Nothing was changed."], { ...value, steps: [] })
    yield* apply(project, steps)
    yield* output.report(["Done. Commit the folder supabase.", ...notes, ...describeNext(...next)], value)
  }
  if (needYou(steps)) return yield* new NeedsYou()
})

const inPlace = "Everything is in place already."
const inProject = "Next, in the project's folder:"

/** Whether the project gets the function that mails. A deploy would replace a function of its own with that name. */
const withMail = Effect.fnUntraced(function* (project: Project, isAskedFor: boolean) {
  if (hasMail(project)) return true
  const fs = yield* FileSystem.FileSystem
  if (isAskedFor && (yield* fs.exists(`${project.directory}/functions/${MAIL}`)))
    return yield* refused(
      `supabase/functions/${MAIL} exists already, and this command did not create it.`,
      "Rename it or delete it, then run this again."
    )
  return isAskedFor
})

export const install = Command.make(
  "install",
  {
    directory,
    ...flags,
    mail: switchFlag("mail", "Also install send-email, which mails coordinators"),
    dryRun: dryRunFlag,
    notPushed: notPushed("change them"),
    yes: yesFlag
  },
  Effect.fn("install")(function* ({ directory, dryRun, mail: isAskedFor, notPushed, yes, ...given }) {
    const project = yield* readProject(directory)
    const known = Option.map(project.manifest, ({ watched }) => watched)
    const watched = yield* askWatched(given, known, yes)
    const now = yield* Clock.currentTimeMillis
    const mail = yield* withMail(project, isAskedFor)
    const steps = planInstall(project, yield* Release, { now, watched, mail, pushed: !notPushed })
    const next = [inProject, afterInstall(mail)] as const
    yield* carryOut({ project, steps, intro: describe(watched), settled: inPlace, next, dryRun, yes })
  })
).pipe(Command.withDescription("Adds migrations and functions to a Supabase project."), Command.provide(Release.layer))

const known = Effect.fnUntraced(function* (project: Project) {
  if (Option.isSome(project.manifest)) return project.manifest.value
  return yield* cannotRun(
    `Nothing is installed in ${project.directory}: there is no ${MANIFEST}.`,
    "Run npx pause-status install first."
  )
})

export const upgrade = Command.make(
  "upgrade",
  { directory, dryRun: dryRunFlag, yes: yesFlag },
  Effect.fn("upgrade")(function* ({ directory, dryRun, yes }) {
    const project = yield* readProject(directory)
    const { version, watched } = yield* known(project)
    const release = yield* Release
    const mail = hasMail(project)
    const steps = planInstall(project, release, { now: yield* Clock.currentTimeMillis, watched, mail, pushed: true })
    const next = [inProject, afterInstall(mail).filter(({ command }) => /db push|deploy/.test(command))] as const
    yield* carryOut({
      project,
      steps,
      intro: [version === release.version ? `  version ${version}` : `  from ${version} to ${release.version}`],
      settled: inPlace,
      next,
      dryRun,
      yes
    })
  })
).pipe(Command.withDescription("Adds what is new in this version of the package."), Command.provide(Release.layer))

export const uninstall = Command.make(
  "uninstall",
  { directory, dryRun: dryRunFlag, notPushed: notPushed("remove them"), yes: yesFlag },
  Effect.fn("uninstall")(function* ({ directory, dryRun, notPushed, yes }) {
    const project = yield* readProject(directory)
    const manifest = yield* known(project)
    const pushed = !notPushed
    const steps =
      Object.keys(manifest.files).length === 0
        ? []
        : planUninstall(project, yield* Release, { manifest, now: yield* Clock.currentTimeMillis, pushed })
    const next = [inProject, pushed ? afterUninstall(hasMail(project)) : []] as const
    yield* carryOut({ project, steps, intro: [], settled: "It is already uninstalled.", next, dryRun, yes })
  })
).pipe(
  Command.withDescription("Removes everything again, with a migration. Your own tables stay."),
  Command.provide(Release.layer)
)
