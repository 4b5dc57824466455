// Bundles the page of the console into dist/console, from where the command pause-status and the local stack serve it.
import { build } from "esbuild"
import { copyFile, mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { minifyAgain } from "../build.ts"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const place = join(root, "dist/console")

/** A file of the page, with its size. */
export interface Part {
  readonly name: string
  readonly text: string
  readonly bytes: number
  readonly gzipBytes: number
}

const part = (name: string, text: string): Part => ({
  name,
  text,
  bytes: Buffer.byteLength(text),
  gzipBytes: gzipSync(text).length
})

/** The script and the style of the page. */
export const bundleConsole = async (): Promise<ReadonlyArray<Part>> => {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ["console/main.tsx", "console/main.css"],
    outdir: place,
    write: false,
    bundle: true,
    splitting: true,
    chunkNames: "[name]",
    minify: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning"
  })
  return Promise.all(
    outputFiles.map(async ({ path, text }) => {
      const name = path.slice(place.length + 1)
      return part(name, name.endsWith(".js") ? await minifyAgain(name, text) : text)
    })
  )
}

/** Builds the page. */
export const buildConsole = async (): Promise<void> => {
  const parts = await bundleConsole()
  await mkdir(place, { recursive: true })
  await copyFile(join(root, "console/index.html"), join(place, "index.html"))
  await Promise.all(parts.map(({ name, text }) => writeFile(join(place, name), text)))
}

if (import.meta.main) await buildConsole()
