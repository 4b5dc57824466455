// Bundles each Edge Function into one self-contained .mjs and says how large it is. .mjs, because Deno 2.1 would load
// a .js file as CommonJS when a package.json above it says so.
import { build } from "esbuild"
import { readFile, rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

const root = dirname(fileURLToPath(import.meta.url))

/** One bundle. **Units** bytes, minified and gzipped. */
export interface Bundle {
  readonly name: string
  readonly bytes: number
  readonly gzipBytes: number
}

/** A bundle that grew beyond this has taken in something it should not. Bytes, minified. */
export const maxBundleBytes = 200_000

const bundle = async (name: string): Promise<Bundle> => {
  const folder = join(root, "supabase/functions", name)
  const outfile = join(folder, "dist/index.mjs")
  // Renamed into place when it is whole: a function that is just starting may be reading the old one.
  const unfinished = `${outfile}.${process.pid}`
  await build({
    entryPoints: [join(folder, "index.ts")],
    outfile: unfinished,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    legalComments: "none",
    logLevel: "warning"
  })
  await rename(unfinished, outfile)
  const bytes = await readFile(outfile)
  return { name, bytes: bytes.length, gzipBytes: gzipSync(bytes).length }
}

/** Builds every Edge Function of this project. */
export const buildFunctions = (): Promise<ReadonlyArray<Bundle>> =>
  Promise.all(["pause-status-webhook-handler", "pause-notification-orchestrator"].map(bundle))

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`

/** A bundle's size in words. */
export const describe = ({ bytes, gzipBytes, name }: Bundle) =>
  `${name}: ${kilobytes(bytes)} minified, ${kilobytes(gzipBytes)} gzip (budget ${kilobytes(maxBundleBytes)})`

if (import.meta.main) {
  for (const built of await buildFunctions()) {
    console.log(describe(built))
    if (built.bytes <= maxBundleBytes) continue
    console.error(`${built.name} is over its budget: npx esbuild --analyze shows what came in`)
    process.exitCode = 1
  }
}
