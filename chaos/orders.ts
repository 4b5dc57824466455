import { build } from "esbuild"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { settings } from "../build.ts"
import { type EdgeFunction, edgeFunction } from "../local/functions.ts"
import type { Log } from "../local/log.ts"
import { denoProgram } from "../local/programs.ts"
import { startReaper } from "../local/Reaper.ts"
import { temporaryDirectory } from "../local/temporary.ts"
import type { Session } from "./Session.ts"

export interface OrderStageOptions {
  readonly env: Readonly<Record<string, string>>
  readonly prelude: () => string | undefined
  readonly log: Log
}

/** The handler of order-stage, in its own Edge Function. */
export const startOrderStage = async (options: OrderStageOptions): Promise<EdgeFunction & AsyncDisposable> => {
  await using started = new AsyncDisposableStack()
  const reaper = started.use(startReaper())
  const home = await mkdtemp(join(temporaryDirectory(), "pause-status-chaos-"))
  reaper.removeAtEnd(home)
  started.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))

  const bundle = join(home, "order-stage.mjs")
  const entry = fileURLToPath(new URL("orderStage.ts", import.meta.url))
  const { outputFiles } = await build({ ...settings, minify: false, entryPoints: [entry], outfile: bundle })
  await writeFile(bundle, outputFiles[0]?.text ?? "")

  const deno = await denoProgram("2.1.4")
  const made = edgeFunction({ ...options, name: "functions/order-stage", bundle, deno, home, reaper })
  started.defer(() => made.service.stop())
  await made.service.start()
  const kept = started.move()
  return { ...made, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const SECRET = "select vault.create_secret($1, 'order_stage_function_url')"
const INSERT = "insert into chaos.orders (stage) select 'new' from generate_series(1, $1::int)"

const WATCH = `
  select outbox.watch(
    'order-stage', 'chaos.orders', columns => '{stage}', operations => '{INSERT,UPDATE}',
    function_url => 'order_stage_function_url'
  )`

/** Declares the topic on a table with so many orders, and adds as many afterwards. */
export const watchOrders = (session: Session, functionUrl: string, count: number): Promise<unknown> =>
  session.retrying(async (client) => {
    await client.query(SECRET, [functionUrl])
    await client.query(INSERT, [count])
    // Rows that exist when a topic is declared make no events.
    await client.query("delete from chaos.order_changes")
    await client.query(WATCH)
    await client.query(INSERT, [count])
  })
