import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Check, rowsOf } from "./Check.ts"
import * as Access from "./checks/Access.ts"
import * as Backlog from "./checks/Backlog.ts"
import * as Capture from "./checks/Capture.ts"
import * as Deliveries from "./checks/Deliveries.ts"
import * as Installation from "./checks/Installation.ts"
import * as Jobs from "./checks/Jobs.ts"
import { Facts } from "./Facts.ts"
import { type Finding, notChecked, wrong } from "./Finding.ts"
import { Probe } from "./Probe.ts"

/** All checks, in the order of the report. */
export const checks: ReadonlyArray<Check> = [
  ...Installation.checks,
  ...Capture.checks,
  ...Jobs.checks,
  ...Deliveries.checks,
  ...Access.checks,
  ...Backlog.checks
]

const Installed = Schema.Struct({ installed: Schema.Boolean })

const isInstalled = rowsOf(
  Installed,
  `select to_regclass('outbox.settings') is not null
     and to_regprocedure('public.outbox_health()') is not null as installed`
).pipe(Effect.map(Option.match({ onNone: () => true, onSome: (rows) => rows.every(({ installed }) => installed) })))

const notInstalled: ReadonlyArray<Finding> = checks.map(({ name }) => ({
  name,
  verdict:
    name === "migrations"
      ? wrong(
          "The outbox is not installed in this database.",
          "Run: npx pause-status install, then npx supabase db push --remote"
        )
      : notChecked("the migrations")
}))

/**
 * Checks a project. Returns one finding per check.
 *
 * **Fails with** QueryFailed if the database answers no query.
 */
export const examine = Effect.gen(function* () {
  if (!(yield* isInstalled)) return notInstalled
  return yield* Effect.forEach(checks, ({ check, name }) =>
    Effect.map(check, (verdict): Finding => ({ name, verdict }))
  )
}).pipe(Effect.provide(Layer.merge(Facts.layer, Probe.layer)))

/** 0: every check passed or could not be made. 1: something is wrong. */
export const exitCodeOf = (findings: ReadonlyArray<Finding>): 0 | 1 =>
  findings.some(({ verdict }) => verdict._tag === "Wrong") ? 1 : 0
