import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { access, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { promisify } from "node:util"

export const root = join(import.meta.dirname, "../..")
const tsc = join(root, "node_modules/typescript/bin/tsc")
const execute = promisify(execFile)

// npm tells the programs that it runs where it is; another npm would take that for its own place.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:npm_|INIT_CWD$)/.test(name))
)

const run = async (directory: string, program: string, args: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await execute(program, args, { cwd: directory, env: environment, maxBuffer: 16_000_000 })
  return stdout
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string }>
}

/** A process of the app. */
export interface Running extends AsyncDisposable {
  readonly url: string
  readonly lines: () => ReadonlyArray<string>
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Promise<number | null>
}

/** examples/larger-app in a folder of its own, with the package installed from its tarball. */
export interface App extends AsyncDisposable {
  readonly directory: string
  readonly packed: Packed
  readonly tsc: (project?: string) => Promise<string>
  readonly node: (program: string, args: ReadonlyArray<string>) => Promise<string>
  readonly start: (env: Readonly<Record<string, string>>) => Promise<Running>
}

const start = async (directory: string, env: Readonly<Record<string, string>>): Promise<Running> => {
  const child = spawn(process.execPath, ["src/main.ts"], {
    cwd: directory,
    env: { ...environment, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  const ended = once(child, "close").then(([code]) => code)
  const listening = new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString()
      const port = /Listening on http:\/\/[^\s"]*:(\d+)/.exec(output)?.[1]
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`)
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    void ended.then(() => reject(new Error(`the app ended before it listened: ${output}`)))
  })
  return {
    url: await listening,
    lines: () => output.trimEnd().split("\n"),
    signal: (signal) => void child.kill(signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      await ended
    }
  }
}

/** Packs the package as `npm publish` would, and installs the app as its README says. */
export const installApp = async (): Promise<App> => {
  const directory = await mkdtemp(join(tmpdir(), "pause-status-package-"))
  const output = await run(root, "npm", ["pack", "--json", "--silent", "--pack-destination", directory])
  const [packed]: ReadonlyArray<Packed> = JSON.parse(output.slice(output.indexOf("[")))
  if (packed === undefined) throw new Error("npm packed nothing")
  await cp(join(root, "examples/larger-app"), directory, {
    recursive: true,
    filter: (source) => !source.includes("node_modules")
  })
  const manifest = JSON.parse(await readFile(join(directory, "package.json"), "utf8"))
  manifest.dependencies["pause-status-webhook-handler"] = `file:${packed.filename}`
  await writeFile(join(directory, "package.json"), JSON.stringify(manifest))
  const quick = ["--ignore-scripts", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund"]
  await run(directory, "npm", ["install", ...quick])
  return {
    directory,
    packed,
    tsc: (project = ".") => run(directory, process.execPath, [tsc, "-p", project]),
    node: (program, args) => run(directory, program, args),
    start: (env) => start(directory, env),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true })
  }
}

/** Every version of Node from 22 on that PATH leads to, ours among them. */
export const nodes = async (): Promise<ReadonlyMap<string, string>> => {
  const found = new Map([[process.version, process.execPath]])
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const program = join(directory, "node")
    const isThere = await access(program).then(
      () => true,
      () => false
    )
    const version = isThere ? (await run(dirname(root), program, ["--version"])).trim() : "v0"
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= 22) found.set(version, program)
  }
  return found
}
