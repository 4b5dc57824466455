// npm run bench: answers all questions, or those that you name, and writes the results.
import { parseArgs } from "node:util"
import { messageOf } from "../local/StackError.ts"
import { environment } from "../local/environment.ts"
import type { Ask } from "./harness/question.ts"
import { missingPackages } from "./packages.ts"

const QUESTIONS: Readonly<Record<string, () => Promise<{ readonly ask: Ask }>>> = {
  cold: () => import("./cold.ts"),
  functions: () => import("./functions.ts"),
  warm: () => import("./warm.ts"),
  capture: () => import("./capture.ts"),
  tableSize: () => import("./tableSize.ts"),
  queues: () => import("./queues.ts"),
  latency: () => import("./latency.ts"),
  burst: () => import("./burst.ts"),
  recovery: () => import("./recovery.ts"),
  jit: () => import("./jit.ts")
}

// It needs a PostgreSQL that no npm package provides.
const ONLY_WHEN_NAMED = "jit"
const USUAL = Object.keys(QUESTIONS).filter((name) => name !== ONLY_WHEN_NAMED)

const USAGE = `Usage: npm run bench -- [--quick] [--write] [${Object.keys(QUESTIONS).join("] [")}]
Without names all questions are asked, but ${ONLY_WHEN_NAMED}. The results are written to bench/results.json, docs/benchmarks.md and docs/plots;
with --quick they are only printed, unless --write says otherwise.`

const readArguments = () => {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { quick: { type: "boolean", default: false }, write: { type: "boolean", default: false } }
    })
    if (positionals.some((name) => !(name in QUESTIONS))) return undefined
    return { ...values, names: positionals.length > 0 ? positionals : USUAL }
  } catch {
    return undefined
  }
}

const given = readArguments()
const missing = missingPackages()
if (given === undefined) {
  console.error(USAGE)
  process.exitCode = 2
} else if (missing.length > 0) {
  console.error(`The benchmarks need packages that npm ci leaves out: ${missing.join(", ")}.
To install them: npm ci --prefix bench`)
  process.exitCode = 1
} else {
  const { names, quick, write } = given
  // This imports one of these packages, so it is loaded only now.
  const { printable, writeDown } = await import("./harness/report.ts")
  for (const name of names) {
    const began = performance.now()
    const say = (text: string) => void process.stderr.write(`${name}: ${text}\n`)
    const where = `${quick ? "--quick, " : ""}${await environment()}`
    try {
      const question = await QUESTIONS[name]?.()
      const answer = await question?.ask({ quick, say })
      if (answer === undefined) continue
      console.log(printable(name, where, answer))
      if (write || !quick) await writeDown(name, where, answer)
      say(`answered in ${((performance.now() - began) / 1_000).toFixed(0)} s`)
    } catch (cause) {
      console.error(`${name}: ${messageOf(cause)}`)
      console.error(cause)
      process.exitCode = 1
    }
  }
}
