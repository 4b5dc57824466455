// Bundles each Edge Function into one self-contained .mjs and says how large it is. .mjs, because Deno 2.1 would load
// a .js file as CommonJS when a package.json above it says so.
import { build, type Plugin } from "esbuild"
import { readFile, rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

const root = dirname(fileURLToPath(import.meta.url))

/** One bundle. **Units** bytes, minified and gzipped; `budget` is what it may have, minified. */
export interface Bundle {
  readonly name: string
  readonly bytes: number
  readonly gzipBytes: number
  readonly budget: number
}

interface Recipe {
  readonly name: string
  readonly entry: string
  readonly outfile: string
  readonly budget: number
}

const functions = "supabase/functions"
const handler = `${functions}/pause-status-webhook-handler`
const orchestrator = `${functions}/pause-notification-orchestrator`

// What is on the way of each delivery has to be small; what is loaded for people has to start within their patience.
const recipes: ReadonlyArray<Recipe> = [
  {
    name: "pause-status-webhook-handler",
    entry: `${handler}/index.ts`,
    outfile: `${handler}/dist/index.mjs`,
    budget: 200_000
  },
  {
    name: "pause-status-webhook-handler, management",
    entry: "src/management.ts",
    outfile: `${handler}/dist/management.mjs`,
    budget: 600_000
  },
  {
    name: "pause-notification-orchestrator",
    entry: `${orchestrator}/index.ts`,
    outfile: `${orchestrator}/dist/index.mjs`,
    budget: 200_000
  }
]

// A bundle that loads another one names its file as it lies beside it, and takes nothing of it in.
const lazyBundles: Plugin = {
  name: "lazy bundles",
  setup: ({ onResolve }) => {
    onResolve({ filter: /\.ts$/ }, ({ kind, path }) =>
      kind === "dynamic-import" ? { path: path.replace(/\.ts$/, ".mjs"), external: true } : undefined
    )
  }
}

const bundle = async ({ budget, entry, name, outfile }: Recipe): Promise<Bundle> => {
  const made = join(root, outfile)
  // Renamed into place when it is whole: a function that is just starting may be reading the old one.
  const unfinished = `${made}.${process.pid}`
  await build({
    entryPoints: [join(root, entry)],
    outfile: unfinished,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
    plugins: [lazyBundles]
  })
  await rename(unfinished, made)
  const bytes = await readFile(made)
  return { name, bytes: bytes.length, gzipBytes: gzipSync(bytes).length, budget }
}

/** Builds every Edge Function of this project. */
export const buildFunctions = (): Promise<ReadonlyArray<Bundle>> => Promise.all(recipes.map(bundle))

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`

/** A bundle's size in words. */
export const describe = ({ budget, bytes, gzipBytes, name }: Bundle) =>
  `${name}: ${kilobytes(bytes)} minified, ${kilobytes(gzipBytes)} gzip (budget ${kilobytes(budget)})`

if (import.meta.main) {
  for (const built of await buildFunctions()) {
    console.log(describe(built))
    if (built.bytes <= built.budget) continue
    console.error(`${built.name} is over its budget: npx esbuild --analyze shows what came in`)
    process.exitCode = 1
  }
}
