import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { once } from "node:events"

const root = join(import.meta.dirname, "../..")
const program = join(root, "node_modules/.bin/supabase")

interface Ended {
  readonly code: number
  readonly output: string
}

/** A folder with a project, and the Supabase CLI in it, which finds nobody but this machine. */
export interface Cli extends AsyncDisposable {
  readonly directory: string
  /** Of the Supabase CLI; a program that starts it needs the same. */
  readonly environment: Readonly<Record<string, string>>
  readonly run: (args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) => Promise<Ended>
}

/** The project is a copy of this one, or as `supabase init` makes it. */
export const openCli = async (project: "ours" | "new" = "ours"): Promise<Cli> => {
  const directory = await mkdtemp(join(tmpdir(), "pause-status-cli-"))
  // But for what another test's build has not finished yet.
  const isFinished = (path: string) => !/\.mjs\.\d+$/.test(path)
  if (project === "ours")
    await cp(join(root, "supabase"), join(directory, "supabase"), { recursive: true, filter: isFinished })
  await mkdir(join(directory, "home"))
  // It looks for a newer version of itself now and then.
  const outside = createServer((socket) => socket.destroy())
  outside.listen(0, "127.0.0.1")
  await once(outside, "listening")
  const proxy = `http://127.0.0.1:${(outside.address() as AddressInfo).port}`
  const environment = {
    PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
    HOME: join(directory, "home"),
    DO_NOT_TRACK: "1",
    SUPABASE_TELEMETRY_DISABLED: "1",
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    NO_PROXY: "127.0.0.1,localhost"
  }
  const run: Cli["run"] = (args, env = {}) =>
    new Promise((resolve) =>
      execFile(
        program,
        ["--workdir", directory, ...args],
        { cwd: directory, env: { ...environment, ...env } },
        (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: `${stdout}${stderr}` })
      )
    )
  if (project === "new") await run(["init"])
  return {
    directory,
    environment,
    run,
    [Symbol.asyncDispose]: async () => {
      const closed = once(outside, "close")
      outside.close()
      await closed
      await rm(directory, { recursive: true, force: true })
    }
  }
}
