import { createLocalJWKSet, jwtVerify } from "jose"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import * as http from "node:http"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { startGateway } from "../../local/gateway.ts"
import { createKeys, roleToken } from "../../local/keys.ts"
import { freePort } from "../../local/ports.ts"
import type { Stack } from "../../local/stack.ts"
import { bareStack, openSession } from "../support/bareStack.ts"
import { patienceMillis } from "../support/patience.ts"

let stack: Stack

const SETUP = `
  create function public.whoami() returns text language sql as 'select current_user::text';
  create function public.fails() returns text language plpgsql as $$ begin raise exception 'plain'; end $$;
  create function public.conflicts() returns text language plpgsql as
    $$ begin raise sqlstate 'PT409' using message = 'conflict', detail = 'd', hint = 'h'; end $$;
  create function public.object() returns jsonb language sql as $$ select '{"key":"k"}'::jsonb $$;
  create function public.nothing() returns void language sql as '';
  create table public.closed (id int);
  create table public.one (id int);
  grant select on public.one to anon;
  notify pgrst, 'reload schema'`

const rpc = (name: string, headers: Record<string, string> = {}, body = "{}") =>
  fetch(`${stack.apiUrl}/rest/v1/rpc/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", apikey: stack.serviceKey, ...headers },
    body
  })

const who = async (headers: Record<string, string>) => (await rpc("whoami", headers)).json()

beforeAll(async () => {
  stack = await bareStack()
  await using session = await openSession(stack.databaseUrl)
  await session.client.query(SETUP)
  // The notification reloads PostgREST's picture of the schema.
  await vi.waitFor(async () => expect((await rpc("whoami")).status).toBe(200), { timeout: patienceMillis })
})

afterAll(() => stack?.stop())

describe("keys for the Data API", () => {
  it("turns the secret key into service_role and the publishable key into anon", async () => {
    expect(await who({ apikey: stack.serviceKey })).toBe("service_role")
    expect(await who({ apikey: stack.publishableKey })).toBe("anon")
  })

  it("does so if a client repeats the key as a bearer token", async () => {
    expect(await who({ apikey: stack.serviceKey, authorization: `Bearer ${stack.serviceKey}` })).toBe("service_role")
  })

  it("lets nobody become service_role with an unknown key", async () => {
    expect(await who({ apikey: "sb_secret_guess", authorization: "Bearer sb_secret_guess" })).toBe("anon")
  })

  it("keeps a user's own token, and PostgREST refuses a forged one", async () => {
    const forged = roleToken("another secret, at least thirty-two long", "service_role")
    expect((await rpc("whoami", { authorization: `Bearer ${forged}` })).status).toBe(401)
  })
})

describe("users' tokens", () => {
  const keySet = async () => {
    const answer = await fetch(`${stack.apiUrl}/auth/v1/.well-known/jwks.json`)
    return { answer, keys: createLocalJWKSet(await answer.json()) }
  }

  it("are signed with the key that Auth publishes, and have Auth's claims", async () => {
    const { keys } = await keySet()
    const sub = randomUUID()
    const { payload } = await jwtVerify(stack.userToken({ role: "admin", sub }), keys, {
      issuer: `${stack.apiUrl}/auth/v1`,
      audience: "authenticated",
      algorithms: ["ES256"]
    })
    expect(payload).toMatchObject({ sub, role: "authenticated", app_metadata: { role: "admin" }, user_metadata: {} })
    const { payload: other } = await jwtVerify(stack.userToken(), keys)
    expect(other["app_metadata"]).not.toHaveProperty("role")
    expect(other.sub).not.toBe(sub)
  })

  it("come with a key set without secrets, a new one for each stack", async () => {
    const { answer, keys } = await keySet()
    expect(answer.headers.get("content-type")).toBe("application/json")
    const [key, ...others] = keys.jwks().keys
    expect(others).toEqual([])
    expect(Object.keys(key ?? {}).toSorted()).toEqual(["alg", "crv", "ext", "key_ops", "kid", "kty", "use", "x", "y"])
    expect(key?.kid).not.toBe(createKeys().signingKey.kid)
  })

  it("are the only part of Auth", async () => {
    expect((await fetch(`${stack.apiUrl}/auth/v1/token`)).status).toBe(404)
    const posted = await fetch(`${stack.apiUrl}/auth/v1/.well-known/jwks.json`, { method: "POST" })
    expect(posted.status).toBe(404)
  })
})

describe("PostgREST's answers", () => {
  it("gives a function's value as it is, and 204 for none", async () => {
    const answer = await rpc("object")
    expect([answer.status, answer.headers.get("content-type"), await answer.text()]).toEqual([
      200,
      "application/json; charset=utf-8",
      '{"key": "k"}'
    ])
    expect((await rpc("nothing")).status).toBe(204)
  })

  it("gives 400 for an exception, and the status of a PT code", async () => {
    const plain = await rpc("fails")
    expect([plain.status, await plain.json()]).toEqual([
      400,
      { code: "P0001", details: null, hint: null, message: "plain" }
    ])
    const conflict = await rpc("conflicts")
    expect([conflict.status, await conflict.json()]).toEqual([
      409,
      { code: "PT409", details: "d", hint: "h", message: "conflict" }
    ])
  })

  it("gives 404 with PGRST202 for an unknown function or argument", async () => {
    const unknown = await rpc("whoami", {}, '{"a":1}')
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: "PGRST202" }])
  })

  it("gives 401 to anon where a grant is missing, and rows where it is not", async () => {
    const asAnon = { headers: { apikey: stack.publishableKey } }
    const closed = await fetch(`${stack.apiUrl}/rest/v1/closed?select=*`, asAnon)
    expect([closed.status, closed.headers.get("www-authenticate")]).toEqual([401, "Bearer"])
    expect(await closed.json()).toMatchObject({ code: "42501", message: "permission denied for table closed" })
    const open = await fetch(`${stack.apiUrl}/rest/v1/one?select=id`, asAnon)
    expect([open.status, await open.json()]).toEqual([200, []])
  })

  it("gives the Data API's roles only what a migration granted", async () => {
    expect((await fetch(`${stack.apiUrl}/rest/v1/closed`, { headers: { apikey: stack.serviceKey } })).status).toBe(403)
  })
})

describe("functions", () => {
  it("gives a function its own name as the first part of the path, and unchanged headers and body", async () => {
    const body = "é".repeat(1_000_000)
    const answer = await fetch(`${stack.functionUrl}/x?a=%20b`, {
      method: "POST",
      headers: { authorization: "Bearer sb_secret_x", "webhook-id": "1" },
      body
    })
    const echo: unknown = await answer.json()
    expect(echo).toMatchObject({
      pathname: "/pause-status-webhook-handler/api/v1/webhooks/pause-status/x",
      search: "?a=%20b",
      method: "POST",
      headers: { authorization: "Bearer sb_secret_x", "webhook-id": "1" },
      body
    })
  })

  it("passes a function's status on", async () => {
    expect((await fetch(stack.orchestratorUrl, { headers: { "x-answer": "418" } })).status).toBe(418)
  })

  it("gives the functions the environment of hosted Supabase and none of the launcher's", async () => {
    process.env["LAUNCHER_SECRET"] = "x"
    const { env } = (await (await fetch(stack.functionUrl)).json()) as { env: Record<string, string> }
    expect(env).toMatchObject({
      SUPABASE_URL: stack.apiUrl,
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: stack.serviceKey }),
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: stack.publishableKey }),
      WEBHOOK_SECRETS: stack.webhookSecret,
      ORCHESTRATOR_URL: stack.orchestratorUrl
    })
    expect(Object.keys(env).filter((name) => !/^(SUPABASE_|DENO_|PATH$|HOME$|NO_COLOR$)/.test(name))).toEqual(
      expect.arrayContaining(["ORCHESTRATOR_URL", "WEBHOOK_SECRETS"])
    )
    expect(env).not.toHaveProperty("LAUNCHER_SECRET")
  })

  it.each(["/index.html", "/functions/v1/unknown", "/rest/v2/x", "/rest/v1x", "/auth/v1/token"])(
    "answers %s with 404",
    async (path) => {
      const answer = await fetch(`${stack.apiUrl}${path}`)
      expect([answer.status, await answer.json()]).toMatchObject([404, { code: "NOT_FOUND" }])
    }
  )

  it("answers 503 for a function that is down and 502 for PostgREST, until they are up again", async () => {
    await stack.services.orchestrator.stop()
    await stack.services.postgrest.stop()
    const down = await fetch(stack.orchestratorUrl, { method: "POST", body: "x" })
    expect([down.status, await down.json()]).toMatchObject([503, { code: "BOOT_ERROR" }])
    expect((await rpc("whoami")).status).toBe(502)
    await stack.services.orchestrator.start()
    await stack.services.postgrest.start()
    expect((await fetch(stack.orchestratorUrl)).status).toBe(200)
    expect((await rpc("whoami")).status).toBe(200)
  })
})

const between = async (serve: http.RequestListener) => {
  const disposables = new AsyncDisposableStack()
  const server = http.createServer(serve).listen(0, "127.0.0.1")
  await once(server, "listening")
  disposables.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === "object" ? (address?.port ?? 0) : 0
  const functions = new Map([["f", () => ({ port })]])
  const gateway = disposables.use(
    await startGateway(
      await freePort(),
      { rest: () => undefined, storage: () => undefined, functions, console: () => Promise.resolve("") },
      createKeys()
    )
  )
  const url = `http://127.0.0.1:${gateway.port}/functions/v1/f`
  return { server, url, [Symbol.asyncDispose]: () => disposables.disposeAsync() }
}

describe("connections to a function", () => {
  const answerWithPort: http.RequestListener = ({ headers, socket }, response) =>
    void response.writeHead(Number(headers["x-answer"] ?? 200)).end(String(socket.remotePort))
  const portOf = async (url: string, status = "200") =>
    (await fetch(url, { method: "POST", body: "x", headers: { "x-answer": status } })).text()

  it("are reused by the next request", async () => {
    await using gateway = await between(answerWithPort)
    expect(await portOf(gateway.url)).toBe(await portOf(gateway.url))
  })

  it("are not reused after a refusal, which may have come before the body was read", async () => {
    await using gateway = await between(answerWithPort)
    expect(await portOf(gateway.url, "413")).not.toBe(await portOf(gateway.url))
  })
})

describe("streams", () => {
  it("passes on the head of an answer before its body", async () => {
    await using gateway = await between((_, response) => response.flushHeaders())
    const arrived = once(gateway.server, "request")
    const answer = await fetch(gateway.url)
    const [, response]: Array<http.ServerResponse> = await arrived
    response?.end("late")
    expect(await answer.text()).toBe("late")
  })

  it("passes on each piece of an answer before the answer is complete", async () => {
    await using gateway = await between((_, response) => void response.write("first"))
    const arrived = once(gateway.server, "request")
    const reader = (await fetch(gateway.url)).body?.pipeThrough(new TextDecoderStream()).getReader()
    expect(await reader?.read()).toEqual({ done: false, value: "first" })
    const [, response]: Array<http.ServerResponse> = await arrived
    response?.end("last")
    expect(await reader?.read()).toEqual({ done: false, value: "last" })
  })

  it("hangs up on the function when the client hangs up", async () => {
    await using gateway = await between(() => {})
    const arrived = once(gateway.server, "request")
    const client = new AbortController()
    const answer = fetch(gateway.url, { signal: client.signal })
    const [, response]: Array<http.ServerResponse> = await arrived
    client.abort()
    await expect(answer).rejects.toThrow("abort")
    if (response?.destroyed === false) await once(response, "close")
    expect(response?.writableFinished).toBe(false)
  })

  it("breaks off the answer when the function breaks off", async () => {
    await using gateway = await between((_, response) => {
      response.writeHead(200, { "content-length": "10" })
      response.write("half", () => response.destroy())
    })
    await expect(fetch(gateway.url).then((answer) => answer.text())).rejects.toThrow()
  })
})
