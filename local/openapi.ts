// Writes docs/openapi.json, the REST contract as the schemas have it.
import * as OpenApi from "effect/http-api/OpenApi"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Api } from "../src/schema/Api.ts"

export const openapiPath = join(import.meta.dirname, "../docs/openapi.json")

/** The document as it is committed. */
export const openapiText = (): string => `${JSON.stringify(OpenApi.fromApi(Api), null, 2)}\n`

if (import.meta.main) await writeFile(openapiPath, openapiText())
