import { build, type Metafile, type Plugin } from "esbuild"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { buildFunctions, minifyAgain, settings } from "../../build.ts"

const root = join(import.meta.dirname, "..", "..")

const VARIANTS = {
  ours: "supabase/functions/pause-status-webhook-handler/index.ts",
  plain: "bench/variants/plain.ts",
  "supabase-js": "bench/variants/supabaseJs.ts",
  "Hono + Zod": "bench/variants/honoZod.ts"
} as const
export type Variant = keyof typeof VARIANTS
export const variants: ReadonlyArray<Variant> = ["ours", "plain", "supabase-js", "Hono + Zod"]

export interface Size {
  readonly bytes: number
  readonly gzipBytes: number
  readonly modules: number
  /** Bytes of each npm package and of the project's own code, as esbuild reports them, largest first. */
  readonly packages: Readonly<Record<string, number>>
}

const packageOf = (input: string): string =>
  /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? (input.startsWith("bench/") ? "the variant" : "src")

const byPackage = ({ outputs }: Metafile): Readonly<Record<string, number>> => {
  const sums = new Map<string, number>()
  for (const { inputs } of Object.values(outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(inputs)) {
      sums.set(packageOf(input), (sums.get(packageOf(input)) ?? 0) + bytesInOutput)
    }
  }
  return Object.fromEntries([...sums].toSorted(([, a], [, b]) => b - a))
}

export interface Bundled {
  readonly path: string
  readonly size: Size
}

// A bundle does not include another one that it loads later.
const laterBundles: Plugin = {
  name: "later bundles",
  setup: ({ onResolve }) => {
    onResolve({ filter: /./ }, ({ kind }) =>
      kind === "dynamic-import" ? { path: "./later.mjs", external: true } : null
    )
  }
}

// Ours avoids a part of Deno that it does not need. The others get the same.
const built = (variant: Variant) =>
  build({ ...settings, entryPoints: [VARIANTS[variant]], outfile: "index.mjs", plugins: [laterBundles] })

const ours = join(root, "supabase/functions/pause-status-webhook-handler/dist/index.mjs")

/** Bundles a variant into one module, minified like ours. Ours is the deployed bundle. */
export const bundle = async (variant: Variant, directory: string): Promise<Bundled> => {
  const { metafile, outputFiles } = await built(variant)
  const path = variant === "ours" ? ours : join(directory, `${variant.replaceAll(/\W+/g, "-")}.mjs`)
  if (variant === "ours") await buildFunctions()
  else {
    await mkdir(directory, { recursive: true })
    await writeFile(path, await minifyAgain(path, outputFiles[0]?.text ?? ""))
  }
  const text = await readFile(path)
  const modules = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.values(inputs)).length
  return {
    path,
    size: { bytes: text.length, gzipBytes: gzipSync(text).length, modules, packages: byPackage(metafile) }
  }
}
