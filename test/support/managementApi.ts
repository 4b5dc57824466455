import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Client } from "pg"
import { type Arrival, startRecorder } from "./bareStack.ts"

export const PROJECT = "abcdefghijklmnopqrst"

const project = {
  id: PROJECT,
  ref: PROJECT,
  name: "somebodys",
  organization_id: "somebody",
  organization_slug: "somebody",
  region: "eu-central-1",
  created_at: "2026-01-01T00:00:00Z",
  status: "ACTIVE_HEALTHY",
  database: { host: "127.0.0.1", version: "17", postgres_engine: "17", release_channel: "ga" }
}
const keys = ["anon", "service_role"].map((name) => ({ id: name, name, type: "legacy", api_key: name }))

interface Query {
  readonly query: string
}

/** The rows of a query, as Supabase's API answers them; an error says what Postgres says. */
const answerTo = async (databaseUrl: string, { query }: Query): Promise<readonly [status: number, body: unknown]> => {
  const client = new Client(databaseUrl)
  await client.connect()
  try {
    return [201, (await client.query(query)).rows]
  } catch (cause) {
    return [400, { message: cause instanceof Error ? cause.message : String(cause) }]
  } finally {
    await client.end()
  }
}

/**
 * Supabase's Management API on loopback, as far as the Supabase CLI asks it for what the docs name. It keeps what is
 * uploaded and which secrets are set, and runs SQL in the database, if there is one.
 */
export const startManagementApi = async (directory: string, databaseUrl = "") => {
  const uploads: Array<{ readonly url: URL; readonly form: Promise<FormData> }> = []
  const secrets = new Map<string, string>()
  const deleted: Array<string> = []

  const answer = async ({ body, bytes, headers, method, url: path }: Arrival): Promise<readonly [number, unknown]> => {
    const url = new URL(path, "http://127.0.0.1")
    const rest = url.pathname.replace(`/v1/projects/${PROJECT}`, "")
    if (rest === "/database/query") return answerTo(databaseUrl, JSON.parse(body))
    if (rest === "/secrets" && method === "POST") {
      for (const { name, value } of JSON.parse(body)) secrets.set(name, value)
      return [201, {}]
    }
    if (rest === "/secrets" && method === "DELETE") {
      for (const name of JSON.parse(body)) secrets.delete(name)
      return [200, {}]
    }
    if (rest === "/functions/deploy") {
      const type = { "content-type": headers["content-type"] ?? "" }
      uploads.push({ url, form: new Response(bytes, { headers: type }).formData() })
      const slug = url.searchParams.get("slug") ?? ""
      return [201, { id: slug, slug, name: slug, version: 1, status: "ACTIVE", created_at: 1, updated_at: 1 }]
    }
    if (rest.startsWith("/functions/") && method === "DELETE") {
      deleted.push(rest.replace("/functions/", ""))
      return [200, {}]
    }
    if (method === "PUT") return [200, { functions: [] }]
    if (rest === "") return [200, project]
    return [200, rest === "/api-keys" ? keys : []]
  }

  const api = await startRecorder((arrival, response) => {
    void answer(arrival).then(([status, value]) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))
    )
  })
  const profile = join(directory, "profile.yaml")
  const urls = ["api_url", "dashboard_url", "docs_url"].map((key) => `${key}: ${api.url}\n`).join("")
  await writeFile(profile, `name: loopback\n${urls}project_host: 127.0.0.1\n`)
  return Object.assign(api, {
    uploads,
    secrets,
    deleted,
    /** For the Supabase CLI, so that it asks this API. */
    env: { SUPABASE_PROFILE: profile, SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` }
  })
}
