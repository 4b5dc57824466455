// Writes docs/openapi.json, the REST contract, from the schemas.
import * as OpenApi from "effect/http-api/OpenApi"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Api } from "../src/schema/Api.ts"

export const openapiPath = join(import.meta.dirname, "../docs/openapi.json")

/** The document as committed. */
export const openapiText = (): string => `${JSON.stringify(OpenApi.fromApi(Api), null, 2)}\n`

if (import.meta.main) await writeFile(openapiPath, openapiText())
