import { build, type Metafile } from "esbuild"
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"

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
  /** Minified bytes of each npm package, and of the project's own code, largest first. */
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

/** Makes one module of a variant, as build.ts makes ours. */
export const bundle = async (variant: Variant, directory: string): Promise<Bundled> => {
  await mkdir(directory, { recursive: true })
  const path = join(directory, `${variant.replaceAll(/\W+/g, "-")}.mjs`)
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [VARIANTS[variant]],
    outfile: path,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
    metafile: true
  })
  const text = await readFile(path)
  const modules = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.values(inputs)).length
  const size = { bytes: text.length, gzipBytes: gzipSync(text).length, modules, packages: byPackage(metafile) }
  return { path, size }
}
