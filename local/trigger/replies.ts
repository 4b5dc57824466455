import type { Run } from "./Runs.ts"

/** A run in the shape of the API. */
export const runReply = (run: Run) => {
  const has = (...statuses: ReadonlyArray<Run["status"]>) => statuses.includes(run.status)
  const isQueued = has("QUEUED", "PENDING_VERSION")
  return {
    id: run.id,
    status: run.status,
    taskIdentifier: run.task,
    ...(run.idempotencyKey !== undefined && { idempotencyKey: run.idempotencyKey }),
    isQueued,
    isExecuting: has("EXECUTING"),
    isWaiting: false,
    isCompleted: !isQueued && !has("EXECUTING"),
    isSuccess: has("COMPLETED"),
    isFailed: has("FAILED", "CRASHED", "SYSTEM_FAILURE", "TIMED_OUT", "EXPIRED"),
    isCancelled: has("CANCELED"),
    isTest: false,
    createdAt: new Date(run.createdAt),
    updatedAt: new Date(run.updatedAt),
    ...(run.startedAt !== undefined && { startedAt: new Date(run.startedAt) }),
    ...(run.finishedAt !== undefined && { finishedAt: new Date(run.finishedAt) }),
    tags: run.tags,
    costInCents: 0,
    baseCostInCents: 0,
    durationMs: 0
  }
}

// The SDK wraps what it sends.
const payloadOf = ({ payload, payloadType }: Run): unknown =>
  payloadType === "application/super+json" ? JSON.parse(payload).json : JSON.parse(payload)

export const retrieveReply = (run: Run) => ({
  ...runReply(run),
  depth: 0,
  triggerFunction: "trigger",
  payload: payloadOf(run),
  ...(run.output !== undefined && { output: run.output }),
  ...(run.error !== undefined && { error: run.error }),
  relatedRuns: {},
  attemptCount: run.attempts
})

const listed = (run: Run) => ({ ...runReply(run), env: { id: "env_1", name: "prod" } })

const list = (query: URLSearchParams, name: string): ReadonlyArray<string> | undefined =>
  query.get(`filter[${name}]`)?.split(",")

const allows = (wanted: ReadonlyArray<string> | undefined, ...values: ReadonlyArray<string>): boolean =>
  wanted === undefined || values.some((value) => wanted.includes(value))

/** A page of runs, the newest first. */
export const listReply = (all: ReadonlyArray<Run>, query: URLSearchParams) => {
  const from = Number(query.get("filter[createdAt][from]") ?? 0)
  const to = Number(query.get("filter[createdAt][to]") ?? Infinity)
  const found = all
    .filter(
      ({ createdAt, status, tags, task }) =>
        allows(list(query, "status"), status) &&
        allows(list(query, "taskIdentifier"), task) &&
        allows(list(query, "tag"), ...tags) &&
        createdAt >= from &&
        createdAt <= to
    )
    .toReversed()
  const size = Math.min(Number(query.get("page[size]") ?? 25), 100)
  const after = query.get("page[after]")
  const start = after === null ? 0 : found.findIndex(({ id }) => id === after) + 1
  const page = found.slice(start, start + size)
  const last = page.at(-1)
  return {
    data: page.map(listed),
    pagination: start + size < found.length && last !== undefined ? { next: last.id } : {}
  }
}
