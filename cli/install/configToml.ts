import { type FunctionName, namesOf } from "../Release.ts"

const reasons: Record<FunctionName, string> = {
  "pause-status-webhook-handler":
    "The sender is Postgres, which has no user's token: the function checks the webhook's signature.",
  "pause-notification-orchestrator":
    "The caller has the project's secret key, which is no token: the function compares it itself.",
  "send-email": "Webhooks are checked by their signature, and plain calls by the project's secret key."
}

/** What the CLI must know to deploy a function. */
const settingsOf = (name: FunctionName): ReadonlyArray<string> => [
  "verify_jwt = false",
  `entrypoint = "./functions/${name}/index.mjs"`
]

const tableOf = (name: FunctionName): string =>
  [`[functions.${name}]`, `# ${reasons[name]}`, ...settingsOf(name), ""].join("\n")

/** Its settings if they are not in a table: `name = { … }` below [functions], or `functions.name.setting = …`. */
const inlineOf = (lines: ReadonlyArray<string>, name: FunctionName): ReadonlyArray<string> | undefined => {
  const key = new RegExp(`^\\s*(?:functions\\s*\\.\\s*)?["']?${name}["']?\\s*[.=]`)
  const found = lines.filter((line) => key.test(line))
  return found.length === 0
    ? undefined
    : found.flatMap((line) => line.replace(key, "").replaceAll(/[{}]/g, "").split(","))
}

const header = (line: string): string => line.replaceAll(/\s|"|'|#.*$/g, "")

/** The lines below a function's header, without comments. Undefined if there is no such table. */
const linesOf = (toml: string, name: FunctionName): ReadonlyArray<string> | undefined => {
  const lines = toml.split("\n")
  const start = lines.findIndex((line) => header(line) === `[functions.${name}]`)
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => line.trimStart().startsWith("["))
  return (start < 0 ? inlineOf(lines, name) : rest.slice(0, end < 0 ? rest.length : end))
    ?.map((line) =>
      line
        .replace(/\s*#.*$/, "")
        .replaceAll(/\s*=\s*/g, " = ")
        .trim()
    )
    .filter((line) => line !== "")
}

export interface Difference {
  readonly name: FunctionName
  /** The lines that are missing in its table. */
  readonly lacks: ReadonlyArray<string>
}

/** Existing tables that lack lines that the functions need. */
export const differences = (toml: string, names: ReadonlyArray<FunctionName>): ReadonlyArray<Difference> =>
  names.flatMap((name) => {
    const lines = linesOf(toml, name)
    const lacks = lines === undefined ? [] : settingsOf(name).filter((setting) => !lines.includes(setting))
    return lacks.length === 0 ? [] : [{ name, lacks }]
  })

/** Adds a table for each function that has none. */
export const withFunctions = (toml: string, names: ReadonlyArray<FunctionName>): string =>
  names
    .filter((name) => linesOf(toml, name) === undefined)
    .reduce((text, name) => `${text.replace(/\n*$/, "\n\n").replace(/^\n+/, "")}${tableOf(name)}`, toml)

/** Removes the tables that are as withFunctions() writes them. */
export const withoutFunctions = (toml: string): string =>
  namesOf(true).reduce((text, name) => text.replace(`\n${tableOf(name)}`, ""), toml)
