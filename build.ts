// Bundles each Edge Function into one self-contained .mjs and says how large it is. .mjs, because Deno 2.1 would load
// a .js file as CommonJS when a package.json above it says so.
import { build, type BuildOptions, type Plugin } from "esbuild"
import { mkdir, rename, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { minify } from "rolldown/utils"
import { compileAtOnce } from "./build/compileAtOnce.ts"
import { isBuilt, recordBuild } from "./build/record.ts"
import { calledByFirstDelivery } from "./build/rehearsal.ts"

const root = dirname(fileURLToPath(import.meta.url))

/** Bytes, minified and gzipped. */
interface Size {
  readonly bytes: number
  readonly gzipBytes: number
}

interface Recipe {
  readonly name: string
  readonly entry: string
  readonly outfile: string
  readonly budget: Size
}

/**
 * One bundle. **Shape** `modules` are the files that something of came in, `read` those that could change it, both as
 * paths from the root.
 */
export interface Bundle extends Recipe, Size {
  readonly code: string
  readonly read: ReadonlyArray<string>
  readonly modules: ReadonlyArray<string>
}

const functions = "supabase/functions"
const handler = `${functions}/pause-status-webhook-handler`
const deliveries = `${handler}/dist/index.mjs`
const orchestrator = `${functions}/pause-notification-orchestrator`
const sendEmail = `${functions}/send-email`

// What is on the way of each delivery has to be small; what is loaded for people has to start within their patience.
// Each is what was reached and a little: what lets a bundle grow further is a decision, and is made here.
const recipes: ReadonlyArray<Recipe> = [
  {
    name: "pause-status-webhook-handler",
    entry: `${handler}/index.ts`,
    outfile: deliveries,
    budget: { bytes: 143_000, gzipBytes: 49_000 }
  },
  {
    name: "pause-status-webhook-handler, management",
    entry: "src/management.ts",
    outfile: `${handler}/dist/management.mjs`,
    budget: { bytes: 350_000, gzipBytes: 116_500 }
  },
  {
    name: "pause-notification-orchestrator",
    entry: `${orchestrator}/index.ts`,
    outfile: `${orchestrator}/dist/index.mjs`,
    budget: { bytes: 124_000, gzipBytes: 42_000 }
  },
  {
    name: "send-email",
    entry: `${sendEmail}/index.ts`,
    outfile: `${sendEmail}/dist/index.mjs`,
    budget: { bytes: 150_000, gzipBytes: 50_000 }
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

// Reading globalThis.process makes Deno load its Node layer, at 30 ms and more; effect looks there for what Deno has
// under other names. A global by its bare name is known to do nothing when it is read, so that schemas of classes that
// nobody uses can go.
const define = {
  "globalThis.process": "undefined",
  "globalThis.File": "File",
  "globalThis.RegExp": "RegExp",
  "globalThis.Uint8Array": "Uint8Array",
  "globalThis.URL": "URL",
  "globalThis.URLSearchParams": "URLSearchParams"
}

/** How a bundle is made, whichever it is. */
export const settings = {
  absWorkingDir: root,
  write: false,
  metafile: true,
  bundle: true,
  minify: true,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  target: "es2022",
  define,
  legalComments: "none",
  logLevel: "warning"
} as const satisfies BuildOptions

/** What esbuild leaves, a second minifier makes smaller still, by 6 % after gzip. */
export const minifyAgain = async (name: string, code: string): Promise<string> => {
  const minified = await minify(name, code, { module: true })
  if (minified.errors.length > 0)
    throw new Error(`${name} cannot be minified: ${minified.errors.map(String).join(", ")}`)
  return minified.code
}

// One character outside ASCII, and V8 keeps the whole text at two bytes for each.
const toAscii = (code: string): string =>
  code.replaceAll(/[^\0-\x7F]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

// effect takes two stack traces while its modules are evaluated, to learn how this engine writes them, and the first
// one in a Deno costs 10 ms. It does without when none may be taken, and errors have theirs as soon as all is evaluated.
const withoutStackTraces = (code: string): string =>
  `const stackTraceLimit=Error.stackTraceLimit;Error.stackTraceLimit=0;${code};Error.stackTraceLimit=stackTraceLimit;`

const bundle = async (recipe: Recipe): Promise<Bundle> => {
  const { metafile, outputFiles } = await build({
    ...settings,
    entryPoints: [recipe.entry],
    outfile: recipe.outfile,
    plugins: [lazyBundles]
  })
  const minified = await minifyAgain(recipe.outfile, outputFiles[0]?.text ?? "")
  // The Supabase CLI uploads what it sees imported, and sees it in double quotes only.
  const whole = toAscii(minified.replaceAll(/import\(`([^`$]+)`\)/g, 'import("$1")'))
  const called = recipe.outfile === deliveries ? compileAtOnce(whole, await calledByFirstDelivery(whole)) : whole
  const code = withoutStackTraces(called)
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs))
  const modules = inputs.flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []))
  const read = Object.keys(metafile.inputs)
  return { ...recipe, code, modules, read, bytes: Buffer.byteLength(code), gzipBytes: gzipSync(code).length }
}

/** The bundle of every Edge Function of this project, not yet in its place. */
export const bundleFunctions = (): Promise<ReadonlyArray<Bundle>> => Promise.all(recipes.map(bundle))

const place = async ({ code, outfile }: Bundle): Promise<void> => {
  const made = join(root, outfile)
  // Renamed into place when it is whole: a function that is just starting may be reading the old one.
  const unfinished = `${made}.${process.pid}`
  await mkdir(dirname(made), { recursive: true })
  await writeFile(unfinished, code)
  await rename(unfinished, made)
}

/** Builds every Edge Function of this project. */
export const buildFunctions = async (): Promise<ReadonlyArray<Bundle>> => {
  const bundles = await bundleFunctions()
  await Promise.all(bundles.map(place))
  const sources = bundles.flatMap(({ read }) => read.filter((path) => !path.startsWith("node_modules/")))
  await recordBuild(
    root,
    sources,
    bundles.map(({ outfile }) => outfile)
  )
  return bundles
}

/** Builds every Edge Function of this project if anything of it has changed since the last build. */
export const buildChangedFunctions = async (): Promise<void> => {
  if (!(await isBuilt(root))) await buildFunctions()
}

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`
const inWords = ({ bytes, gzipBytes }: Size) => `${kilobytes(bytes)} minified, ${kilobytes(gzipBytes)} gzip`

/** A bundle's size in words. */
export const describe = (bundle: Bundle) => `${bundle.name}: ${inWords(bundle)} (budget ${inWords(bundle.budget)})`

/** Whether a bundle has taken in something it should not. */
export const isOverBudget = ({ budget, bytes, gzipBytes }: Bundle) =>
  bytes > budget.bytes || gzipBytes > budget.gzipBytes

if (import.meta.main) {
  for (const built of await buildFunctions()) {
    console.log(describe(built))
    if (!isOverBudget(built)) continue
    const analyze = `npx esbuild ${built.entry} --bundle --format=esm --minify --analyze --outfile=/dev/null`
    console.error(`${built.name} is over its budget. What came in: ${analyze} '--external:*/management.ts'`)
    process.exitCode = 1
  }
}
