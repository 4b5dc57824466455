import { namesOf } from "../Release.ts"

export interface Command {
  readonly command: string
  readonly what: string
}

const push = { command: "npx supabase db push --remote", what: "apply the migrations" }

/** The commands that deploy an installed project, in order. */
export const afterInstall = (mail: boolean): ReadonlyArray<Command> => [
  { command: "npx supabase login", what: "once per machine" },
  { command: "npx supabase link <project-ref>", what: "once per project" },
  push,
  { command: "npx pause-status secrets", what: "one secret for Postgres and the function" },
  ...namesOf(mail).map((name) => ({
    command: `npx supabase functions deploy ${name} --use-api`,
    what: "no Docker needed"
  }))
]

export const afterUninstall = (mail: boolean): ReadonlyArray<Command> => [
  push,
  ...namesOf(mail).map((name) => ({ command: `npx supabase functions delete ${name}`, what: "after the migration" })),
  {
    command: `npx supabase secrets unset WEBHOOK_SECRETS${mail ? " RESEND_API_KEY MAIL_FROM" : ""}`,
    what: "it is no longer used"
  }
]

const BESIDE = 34

/** A heading and the commands, each with its reason if that fits on the line. */
export const describeNext = (heading: string, commands: ReadonlyArray<Command>): ReadonlyArray<string> => [
  ...(commands.length === 0 ? [] : ["", heading]),
  ...commands.map(({ command, what }) =>
    command.length > BESIDE ? `  ${command}` : `  ${command.padEnd(BESIDE)} # ${what}`
  )
]
