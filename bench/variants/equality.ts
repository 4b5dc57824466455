import { expectEqual } from "../harness/question.ts"
import { type Reply, type Running, send } from "./process.ts"
import { everyKind } from "./requests.ts"

// Without Allow, because ours also has methods that are not measured.
const HEADERS = ["content-type", "retry-after", "www-authenticate", "webhook-id"]

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]): [string, unknown] => [key, sorted(item)])
      .toSorted()
  )
}

const pathOf = (issue: unknown): string => JSON.stringify(isObject(issue) ? issue["path"] : issue)

/** What a sender acts on. Wording may differ: a problem's detail, and the text of an issue at a path. */
const meaningOf = ({ body, headers, status }: Reply): unknown => {
  const { detail: _, issues, ...rest }: Record<string, unknown> = JSON.parse(body)
  const paths = Array.isArray(issues) ? issues.map(pathOf).toSorted() : undefined
  return sorted({ status, headers: HEADERS.map((name) => headers[name] ?? null), body: rest, paths })
}

/** Fails unless all variants answer every kind of request alike, with the status in its name. */
export const expectSameReplies = async (running: ReadonlyMap<string, Running>): Promise<number> => {
  const calls = everyKind()
  for (const call of calls) {
    let reference: unknown
    for (const [name, { port }] of running) {
      const reply = await send(port, call)
      expectEqual(`status of ${name} to ${call.name}`, reply.status, Number(call.name.slice(0, 3)))
      const meaning = meaningOf(reply)
      reference ??= meaning
      expectEqual(`reply of ${name} to ${call.name}`, meaning, reference)
    }
  }
  return calls.length
}
