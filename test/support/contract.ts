import { readFile } from "node:fs/promises"
import type { OpenAPISpec, OpenAPISpecOperation } from "effect/http-api/OpenApi"
import { OpenAPIBackend } from "openapi-backend"
import { Schema } from "effect"
import { openapiPath } from "../../local/openapi.ts"
import { Problem } from "../../src/schema/Replies.ts"

/** A reply of the function, and what it was asked; `path` is below the function's name, with or without a query. */
export interface Observed {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** What of a reply is not as docs/openapi.json has it; nothing when all of it is. */
export interface Contract {
  readonly violations: (observed: Observed) => ReadonlyArray<string>
}

/** Reads a reply to its end. */
export const observe = async (method: string, path: string, response: Response): Promise<Observed> => ({
  method,
  path,
  status: response.status,
  headers: response.headers,
  body: await response.text()
})

// openapi-backend looks at application/json only: what is documented under another type is put there for it, and the
// type itself is checked here.
const asJsonOnly = (document: OpenAPISpec): OpenAPISpec => {
  const copy = structuredClone(document)
  for (const operation of Object.values(copy.paths).flatMap((item) => Object.values(item))) {
    if (!("responses" in operation)) continue
    for (const response of Object.values(operation.responses)) {
      const schemas = Object.values(response.content ?? {}).map(({ schema }) => schema)
      if (schemas.length > 0) response.content = { "application/json": { schema: { anyOf: schemas } } }
    }
  }
  return copy
}

const isProblem = Schema.is(Problem)

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

// Paths and methods that the document does not have are answered by a problem, and by no other status than these.
const undocumented = ({ body, headers, method, status }: Observed): ReadonlyArray<string> => [
  ...(status === 404 || status === 405 ? [] : [`status ${status} where nothing is documented`]),
  ...(status === 405 && !headers.has("allow") ? ["405 without Allow"] : []),
  ...(method === "HEAD" || isProblem(parse(body)) ? [] : ["the body is no problem"]),
  ...(headers.get("content-type") === "application/problem+json" ? [] : ["it is not application/problem+json"])
]

/** Holds replies against the committed document, by a checker that knows nothing of ours. */
export const openContract = async (): Promise<Contract> => {
  const document: OpenAPISpec = JSON.parse(await readFile(openapiPath, "utf8"))
  const backend = new OpenAPIBackend({
    definition: JSON.parse(JSON.stringify(asJsonOnly(document))),
    quick: true,
    ajvOpts: { strict: false, allErrors: true }
  })
  await backend.init()

  const operationOf = ({ method, path }: Observed): OpenAPISpecOperation | undefined => {
    const found = backend.matchOperation({ method, path, headers: {} })
    return Object.values(document.paths)
      .flatMap((item) => Object.values(item))
      .find(
        (operation): operation is OpenAPISpecOperation =>
          "operationId" in operation && operation.operationId === found?.operationId
      )
  }

  return {
    violations: (observed) => {
      const operation = operationOf(observed)
      if (operation === undefined) return undocumented(observed)
      const { body, headers, status } = observed
      const documented = operation.responses[status]
      if (documented === undefined) return [`${operation.operationId} has no reply with status ${status}`]
      const type = headers.get("content-type")
      const types = Object.keys(documented.content ?? {})
      const isText = type?.startsWith("text/plain") ?? false
      const value = types.length === 0 && body === "" ? null : isText ? body : parse(body)
      const { operationId } = operation
      const required = Object.entries(documented.headers ?? {}).flatMap(([name, header]) =>
        header.required && !headers.has(name) ? [`it has no ${name}`] : []
      )
      const ofBody = backend.validator.validateResponse(value, operationId, status).errors ?? []
      const ofHeaders =
        backend.validator.validateResponseHeaders(Object.fromEntries(headers), operationId, { statusCode: status })
          .errors ?? []
      return [
        ...(types.length === 0 || types.includes(type ?? "") ? [] : [`its type is ${type}, not ${types.join(" or ")}`]),
        ...required,
        ...[...ofBody, ...ofHeaders].map(({ instancePath, message }) => `${instancePath} ${message}`)
      ]
    }
  }
}
