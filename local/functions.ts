import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Upstream } from "./gateway.ts"
import type { Log } from "./log.ts"
import { LOOPBACK } from "./ports.ts"
import { type Service, supervise } from "./Service.ts"
import type { Reaper } from "./Reaper.ts"
import { StackError } from "./StackError.ts"

export interface EdgeFunctionOptions {
  readonly name: "handler" | "orchestrator" | `functions/${string}`
  /** The file that `npm run build` makes: one module with `export default { fetch }`. */
  readonly bundle: string
  readonly deno: string
  readonly env: Readonly<Record<string, string>>
  /** A script that runs before the bundle. Read at each start. */
  readonly prelude?: (() => string | undefined) | undefined
  /** The directory for Deno's caches. */
  readonly home: string
  readonly log: Log
  readonly reaper: Reaper
}

export interface EdgeFunction {
  readonly service: Service
  readonly upstream: () => Upstream | undefined
}

const LISTENING = /Listening on http:\/\/[^:]+:(\d+)\//

/** One Edge Function in its own Deno, on a port that Deno chooses at each start. */
export const edgeFunction = (options: EdgeFunctionOptions): EdgeFunction => {
  if (!existsSync(options.bundle)) {
    throw new StackError(`${options.bundle} does not exist. Run npm run build first.`)
  }
  let port: number | undefined
  const service = supervise({
    name: options.name,
    log: options.log,
    reaper: options.reaper,
    spawn: async () => {
      port = undefined
      // Its own folder, where the part lies that it loads when it is first asked for: a newer Deno needs permission to read
      // what was rebuilt since the start.
      const reads = `--allow-read=${dirname(options.bundle)}`
      return spawn(options.deno, [...serveArguments, reads, await entryOf(options)], {
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        cwd: dirname(options.bundle),
        env: {
          PATH: process.env["PATH"] ?? "",
          HOME: options.home,
          DENO_DIR: options.home,
          DENO_NO_UPDATE_CHECK: "1",
          NO_COLOR: "1",
          ...options.env
        }
      })
    },
    ready: (_, line) =>
      new Promise((resolve) =>
        line((text) => {
          const found = LISTENING.exec(text)?.[1]
          if (found === undefined || port !== undefined) return
          port = Number(found)
          resolve()
        })
      )
  })
  return { service, upstream: () => (service.running && port !== undefined ? { port } : undefined) }
}

const entryOf = async ({ bundle, home, name, prelude }: EdgeFunctionOptions): Promise<string> => {
  const script = prelude?.()
  if (script === undefined) return bundle
  const file = join(home, name.replace("/", "-"))
  const [first, entry] = [`${file}-prelude.mjs`, `${file}-entry.mjs`]
  await writeFile(first, script)
  const both = [first, bundle].map((path) => JSON.stringify(pathToFileURL(path).href))
  await writeFile(entry, `import ${both[0]}\nexport { default } from ${both[1]}\n`)
  return entry
}

const serveArguments = [
  "serve",
  `--host=${LOOPBACK}`,
  "--port=0",
  // The rights of a hosted function, as closely as Deno's flags allow: no other files, and here no other machine.
  `--allow-net=${LOOPBACK},localhost`,
  "--allow-env",
  "--no-prompt",
  "--no-config",
  "--no-lock",
  // The bundle has everything. If it fetched anything else, that would also be missing after a deployment.
  "--no-remote",
  "--no-npm"
]
