// How long do send-email and generate-pdf take from the start of a process to their first useful answer?
import { build } from "esbuild"
import { existsSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { gzipSync } from "node:zlib"
import { buildFunctions, minifyAgain, settings } from "../build.ts"
import { buildExample } from "../local/examples.ts"
import { type Ask, BenchError, type Budget } from "./harness/question.ts"
import { interleaved } from "./harness/rounds.ts"
import { figure, ratio } from "./harness/statistics.ts"
import {
  type Cold,
  coldStart,
  type Condition,
  CONDITIONS,
  denoPrograms,
  isSameCondition,
  labelOf,
  milliseconds,
  summarize
} from "./variants/coldStart.ts"
import { PROJECT_KEY, startStub, startVariant } from "./variants/process.ts"
import type { Call } from "./variants/requests.ts"

const root = join(import.meta.dirname, "..")
const ROUNDS = { full: 20, quick: 3 }
const KILOBYTE = 1_000

const NAMES = ["plain", "send-email", "generate-pdf"] as const
type Name = (typeof NAMES)[number]

const call = (path: string, body: unknown): Call => ({
  name: path,
  method: "POST",
  path,
  headers: { "content-type": "application/json", apikey: PROJECT_KEY },
  body: JSON.stringify(body)
})

// What is asked first of each, and what proves that it was done.
const FIRST: Readonly<Record<Name, { readonly call: Call; readonly proof: RegExp }>> = {
  plain: { call: call("/", {}), proof: /"id":"one"/ },
  "send-email": {
    call: call("/send-email", { to: "ada@example.com", subject: "Hello", html: "<p>Hello</p>" }),
    proof: /"message_id":"one"/
  },
  "generate-pdf": {
    call: call("/generate-pdf", { order_id: "5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60" }),
    proof: /"pdf_url":"[^"]+token=one"/
  }
}

interface File {
  readonly name: Name
  readonly file: string
  readonly loaded: "at start" | "with the first invoice"
  readonly bytes: number
  readonly gzipBytes: number
}

const filesOf = async (name: Name, bundle: string): Promise<ReadonlyArray<File>> => {
  const [directory, start] = [dirname(bundle), basename(bundle)]
  const others = name === "generate-pdf" ? (await readdir(directory)).filter((file) => file !== start) : []
  const first = await readFile(bundle, "utf8")
  return Promise.all(
    [start, ...others].map(async (file): Promise<File> => {
      const code = await readFile(join(directory, file))
      const isStatic = file === start || new RegExp(`(?:from|import)["'\`]\\./${file}`).test(first)
      const loaded = isStatic ? "at start" : "with the first invoice"
      return { name, file, loaded, bytes: code.length, gzipBytes: gzipSync(code).length }
    })
  )
}

const bundlePlain = async (path: string): Promise<string> => {
  const entryPoints = [join(root, "bench/variants/oneFetch.ts")]
  const { outputFiles } = await build({ ...settings, entryPoints, outfile: path })
  await writeFile(path, await minifyAgain(path, outputFiles[0]?.text ?? ""))
  return path
}

const bundleAll = async (directory: string): Promise<ReadonlyMap<Name, string>> => {
  if (!existsSync(join(root, "examples/node_modules"))) {
    throw new BenchError("generate-pdf needs the examples' packages: npm ci --prefix examples")
  }
  const built = await buildFunctions()
  const { functions } = await buildExample("order-created")
  const sendEmail = built.find(({ name }) => name === "send-email")?.outfile
  const generatePdf = functions.find(({ name }) => name === "generate-pdf")?.bundle
  if (sendEmail === undefined || generatePdf === undefined) throw new BenchError("a function was not built")
  return new Map<Name, string>([
    ["plain", await bundlePlain(join(directory, "plain.mjs"))],
    ["send-email", join(root, sendEmail)],
    ["generate-pdf", generatePdf]
  ])
}

interface Way extends Condition {
  readonly name: Name
}

const prepare = async () => {
  await using started = new AsyncDisposableStack()
  const home = await mkdtemp(join(tmpdir(), "pause-status-bench-"))
  started.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))
  const bundles = await bundleAll(home)
  const stub = started.use(await startStub())
  const denos = await denoPrograms()
  const startOnce = ({ codeCache, deno, name }: Way): Promise<Cold> =>
    coldStart(
      name,
      () =>
        startVariant({
          deno: denos.get(deno) ?? "",
          bundle: bundles.get(name) ?? "",
          home: join(home, `deno-${deno}`),
          codeCache,
          stubPort: stub.port
        }),
      FIRST[name].call,
      ({ body }) => FIRST[name].proof.test(body)
    )
  const files = (await Promise.all([...bundles].map(([name, bundle]) => filesOf(name, bundle)))).flat()
  const kept = started.move()
  return { files, startOnce, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const summary = ({ codeCache, deno, name }: Way, samples: ReadonlyArray<Cold>) => ({
  deno,
  codeCache,
  name,
  ...summarize(samples)
})

type Figures = ReadonlyArray<ReturnType<typeof summary>>

const startsTable = (figures: Figures) => ({
  title: "Cold start: spawn → first useful 200 (medians)",
  head: ["Deno", "function", "× plain", "spawn → 200", "p90", "CPU × plain", "CPU", "memory"],
  rows: figures.map((row) => {
    const plain = figures.find((other) => other.name === "plain" && isSameCondition(other, row)) ?? row
    return [
      labelOf(row),
      row.name,
      ratio(row.ms, plain.ms),
      milliseconds(row.ms),
      milliseconds(row.p90Ms),
      ratio(row.cpuMs, plain.cpuMs),
      milliseconds(row.cpuMs),
      `${figure(row.megabytes)} MB`
    ]
  })
})

const kilobytes = (bytes: number): string => (bytes / KILOBYTE).toFixed(1)

const filesTable = (files: ReadonlyArray<File>) => ({
  title: "Bundles, KB",
  head: ["function", "file", "loaded", "minified", "gzip"],
  rows: files.map(({ bytes, file, gzipBytes, loaded, name }) => [
    name,
    file,
    loaded,
    kilobytes(bytes),
    kilobytes(gzipBytes)
  ])
})

const FONT = "NotoSans.mjs"

const budgetsOf = (files: ReadonlyArray<File>): ReadonlyArray<Budget> => {
  const sizes = (name: Name, what: string, atMost: number, atMostGzip: number): ReadonlyArray<Budget> => {
    const code = files.filter((file) => file.name === name && file.file !== FONT)
    const sum = (size: (file: File) => number) => code.reduce((total, file) => total + size(file), 0) / KILOBYTE
    return [
      { what: `${what}, minified`, found: sum(({ bytes }) => bytes), atMost, unit: "KB" },
      { what: `${what}, gzip`, found: sum(({ gzipBytes }) => gzipBytes), atMost: atMostGzip, unit: "KB" }
    ]
  }
  return [
    ...sizes("send-email", "send-email", 150, 50),
    ...sizes("generate-pdf", "generate-pdf, all files but its font", 450, 150)
  ]
}

export const ask: Ask = async ({ quick }) => {
  await using world = await prepare()
  const ways = CONDITIONS.flatMap(({ codeCache, deno }) => NAMES.map((name): Way => ({ deno, codeCache, name })))
  // The first start fills the code cache; the second tells V8 that it is worth while.
  for (const way of [...ways, ...ways]) await world.startOnce(way)
  const samples = await interleaved(ways, quick ? ROUNDS.quick : ROUNDS.full, world.startOnce)
  const figures = [...samples].map(([way, some]) => summary(way, some))
  return {
    budgets: budgetsOf(world.files),
    figures: { bundles: world.files, starts: figures },
    tables: [startsTable(figures), filesTable(world.files)]
  }
}
