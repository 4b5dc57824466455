import type { TestProject } from "vitest/node"
import { buildFunctions } from "../../build.ts"
import { patientEnv, unhurried } from "./patience.ts"
import { factsOf, startStack } from "./stack.ts"
import { makeTemplate } from "./template.ts"

/** One stack for the whole run: vitest calls this before the first test file and the returned function at the end. */
export default async (project: TestProject): Promise<() => Promise<void>> => {
  await buildFunctions()
  const stack = await startStack({ pacing: "fast", functionEnv: patientEnv, orchestratorEnv: patientEnv })
  const [template] = await Promise.all([makeTemplate(stack), unhurried(stack.databaseUrl)])
  project.provide("stack", factsOf(stack, template))
  return () => stack.stop()
}
