// The only file that depends on internals of @trigger.dev/core, which examples/package.json pins. It runs the
// registered tasks with the executor of Trigger.dev's own workers, including retries and hooks.
import { trace } from "@opentelemetry/api"
import { logs } from "@opentelemetry/api-logs"
import {
  lifecycleHooks,
  parsePacket,
  resourceCatalog,
  type TaskRunError,
  type TaskRunExecution
} from "@trigger.dev/core/v3"
import { TriggerTracer } from "@trigger.dev/core/v3/tracer"
import {
  ConsoleInterceptor,
  StandardLifecycleHooksManager,
  StandardResourceCatalog,
  TaskExecutor,
  TracingSDK
} from "@trigger.dev/core/v3/workers"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import type { Run } from "../../../local/trigger/Runs.ts"
import type { AttemptResult, RunError, Task, Worker } from "../../../local/trigger/Worker.ts"
import config from "../trigger.config.ts"

const folder = join(import.meta.dirname, "..", "tasks")

// Without a file, the catalogue drops registered tasks. Without a manager, it calls no hook.
const load = async (): Promise<void> => {
  resourceCatalog.setGlobalResourceCatalog(new StandardResourceCatalog())
  lifecycleHooks.setGlobalLifecycleHooksManager(new StandardLifecycleHooksManager())
  for (const file of readdirSync(folder)) {
    const path = join(folder, file)
    resourceCatalog.setCurrentFileContext(path, path)
    await import(path)
    resourceCatalog.clearCurrentFileContext()
  }
}

const tracer = trace.getTracer("stand-in")
const logger = logs.getLogger("stand-in")
// The executor keeps this but never calls it. A real one exports to a collector.
const tracingSDK: TracingSDK = Object.create(TracingSDK.prototype)

const executionOf = (run: Run): TaskRunExecution => ({
  task: { id: run.task, filePath: folder },
  attempt: { number: run.attempts, startedAt: new Date(), id: `attempt_${run.attempts}`, status: "EXECUTING" },
  run: {
    id: run.id,
    payload: run.payload,
    payloadType: run.payloadType,
    tags: [...run.tags],
    isTest: false,
    isReplay: false,
    createdAt: new Date(run.createdAt),
    startedAt: new Date(run.startedAt ?? run.createdAt),
    durationMs: 0,
    costInCents: 0,
    baseCostInCents: 0,
    priority: 0,
    ...(run.idempotencyKey !== undefined && { idempotencyKey: run.idempotencyKey }),
    ...(run.maxAttempts !== undefined && { maxAttempts: run.maxAttempts })
  },
  queue: { id: "queue_1", name: `task/${run.task}` },
  environment: { id: "env_1", slug: "prod", type: "PRODUCTION" },
  organization: { id: "org_1", slug: "org", name: "org" },
  project: { id: "project_1", ref: config.project, slug: "project", name: "project" },
  machine: { name: "small-1x", cpu: 0.5, memory: 0.5, centsPerMs: 0 }
})

const errorOf = (error: TaskRunError): RunError => {
  switch (error.type) {
    case "BUILT_IN_ERROR":
      return { name: error.name, message: error.message, stackTrace: error.stackTrace }
    case "INTERNAL_ERROR":
      return { name: error.code, message: error.message ?? error.code }
    default:
      return { message: error.raw }
  }
}

const execute: Worker["execute"] = async (run, signal): Promise<AttemptResult> => {
  const task = resourceCatalog.getTask(run.task)
  if (task === undefined) throw new Error(`${run.task} is not registered`)
  const executor = new TaskExecutor(task, {
    tracingSDK,
    tracer: new TriggerTracer({ tracer, logger }),
    consoleInterceptor: new ConsoleInterceptor(logger, false, true),
    retries: config.retries ?? {}
  })
  const execution = executionOf(run)
  const { result } = await executor.execute(execution, execution, signal)
  if (result.ok) {
    const { output: data, outputType: dataType } = result
    return { ok: true, output: await parsePacket({ ...(data !== undefined && { data }), dataType }) }
  }
  return {
    ok: false,
    error: errorOf(result.error),
    ...(result.retry !== undefined && { retryInMilliseconds: result.retry.delay })
  }
}

/** This example's tasks, as a deployment for the stand-in. */
export const loadWorker = async (): Promise<Worker> => {
  await load()
  const limits = new Map(
    resourceCatalog.listQueueManifests().map(({ concurrencyLimit, name }) => [name, concurrencyLimit])
  )
  const taskOf = ({ id, queue, schedule }: ReturnType<typeof resourceCatalog.listTaskManifests>[number]): Task => {
    const concurrencyLimit = limits.get(queue?.name ?? `task/${id}`) ?? queue?.concurrencyLimit
    return {
      id,
      ...(schedule !== undefined && { cron: schedule.cron }),
      ...(typeof concurrencyLimit === "number" && { concurrencyLimit })
    }
  }
  return { tasks: resourceCatalog.listTaskManifests().map(taskOf), execute }
}
