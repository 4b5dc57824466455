import { Result, Schema } from "effect"
import { BatchReply, NoChangeReply, NotifiedReply, Problem } from "../../src/schema/Replies.ts"
import { table } from "../../src/layers/Problems.ts"
import type { Contract } from "../support/contract.ts"
import { textOf, type WireReply } from "./http.ts"
import { CANARY, type Expected, type Input, type World } from "./Input.ts"
import type { Outcome } from "./wire.ts"

const strictly = { onExcessProperty: "error" } as const
const decodeProblem = Schema.decodeUnknownResult(Schema.fromJsonString(Problem), strictly)
const decodeSuccess = Schema.decodeUnknownResult(
  Schema.fromJsonString(Schema.Union([NotifiedReply, NoChangeReply, BatchReply])),
  strictly
)

const documented = new Set(Object.values(table).map(({ code, status }) => `${status} ${code}`))

/** What a reply says, in words, and what is wrong with how it says it. */
interface Reading {
  readonly word: string
  readonly items: ReadonlyArray<string>
  readonly surprises: ReadonlyArray<string>
}

const reading = (word: string, ...surprises: ReadonlyArray<string | false>): Reading => ({
  word,
  items: [],
  surprises: surprises.filter((surprise) => surprise !== false)
})

const readProblem = (text: string, { headers, status }: WireReply): Reading => {
  const decoded = decodeProblem(text)
  if (Result.isFailure(decoded)) return reading(`${status} other`, "the problem is not of the documented shape")
  const problem = decoded.success
  const word = `${status} ${problem.code}`
  return reading(
    word,
    problem.status !== status && `the body says ${problem.status}`,
    !documented.has(word) && "an undocumented status and code",
    status === 401 && !headers.has("www-authenticate") && "401 without WWW-Authenticate",
    status === 405 && !headers.has("allow") && "405 without Allow",
    status === 400 && problem.code === "invalid_payload" && !problem.issues?.length && "no issue is named"
  )
}

const readSuccess = (text: string, { status }: WireReply): Reading => {
  const decoded = decodeSuccess(text)
  if (Result.isFailure(decoded)) return reading(`${status} other`, "the reply is not of the documented shape")
  if ("status" in decoded.success) return reading(`${status} ${decoded.success.status}`)
  const items = decoded.success.results.map(({ problem, reply }) =>
    problem === undefined ? `200 ${reply?.status}` : `${problem.status} ${problem.code}`
  )
  return { word: `${status} batch`, items, surprises: [] }
}

const read = (text: string, reply: WireReply, method: string): Reading => {
  const type = reply.headers.get("content-type")
  // Without a body the code is told by the status alone.
  const byStatus = [...documented].find((word) => word.startsWith(`${reply.status} `))
  if (method === "HEAD" && type === "application/problem+json") return reading(byStatus ?? `${reply.status} other`)
  if (type === "application/problem+json") return readProblem(text, reply)
  if (type === "application/json" && method === "POST") return readSuccess(text, reply)
  // Of what shape is for the document to say.
  if (type === "application/json") return reading(`${reply.status} json`)
  if (reply.status === 204) return reading("204 empty")
  return reply.body.length === 0 && [400, 408, 413, 414, 431, 501, 505].includes(reply.status)
    ? reading("server")
    : reading(`${reply.status} other`)
}

const MOUNT = /^\/pause-status-webhook-handler(?=[/?]|$)/

/** What of a reply is not as the document has it. */
const violationsOf = (
  contract: Contract,
  text: string,
  { headers, status }: WireReply,
  { method, target }: Expected
) => {
  const url = target?.startsWith("/") ? URL.parse(`http://127.0.0.1${target}`) : null
  if (url === null) return []
  const below = url.pathname.replace(MOUNT, "")
  // The checker takes a path for another one that has a slash more or less.
  if (/\/\/|\/$/.test(below)) return []
  const path = `${below}${url.search}`
  return contract
    .violations({ method, path, status, headers: new Headers([...headers]), body: text })
    .map((violation) => `not as documented: ${violation}`)
}

const judgeReply = (reply: WireReply, expected: Expected, { secret }: World, contract: Contract): Reading => {
  const text = textOf(reply)
  const { items, surprises, word } = read(text, reply, expected.method)
  const echoed = reply.headers.get("webhook-id")
  const unexpectedItems =
    expected.items !== undefined &&
    word === "200 batch" &&
    (items.length !== expected.items.length || items.some((item, at) => !expected.items?.[at]?.includes(item)))
  return reading(
    word,
    ...surprises,
    !expected.words.includes(word) && `expected ${expected.words.join(" or ")}`,
    unexpectedItems && `expected ${JSON.stringify(expected.items)}, got ${JSON.stringify(items)}`,
    expected.webhookId !== undefined &&
      word !== "server" &&
      echoed !== expected.webhookId &&
      "another webhook-id came back",
    ...(word === "server" ? [] : violationsOf(contract, text, reply, expected)),
    text.includes(CANARY) && "the reply repeats a value",
    text.includes(secret.slice("whsec_".length)) && "the reply holds the secret",
    reply.status >= 400 && /\bat .+\.[cm]?[jt]s:\d+:\d+|\.mjs|node_modules/.test(text) && "the reply holds a stack"
  )
}

/** What came back, in words, and everything that must not have happened. */
export const judge = (input: Input, { end, replies, rest }: Outcome, world: World, contract: Contract) => {
  const readings = replies.map((reply, at) => {
    const expected = input.replies[at]
    return expected === undefined
      ? reading("none", "more replies than requests")
      : judgeReply(reply, expected, world, contract)
  })
  const missing = input.replies.slice(replies.length)
  const words = [...readings.map(({ word }) => word), ...missing.map(() => (end === "late" ? "late" : "closed"))]
  const mustBeThere = missing.some(({ words }) => !words.includes("closed"))
  return {
    words,
    surprises: [
      ...readings.flatMap(({ surprises, word }) => surprises.map((surprise) => `${word}: ${surprise}`)),
      ...(end === "late" ? ["no reply, or no end, before the deadline"] : []),
      ...(end !== "late" && mustBeThere ? ["closed without a reply"] : []),
      ...(rest.length > 0 ? [`more came than was asked for: ${rest.toString("latin1").slice(0, 200)}`] : [])
    ]
  }
}
