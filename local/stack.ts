import { existsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { edgeFunction } from "./functions.ts"
import type { Console } from "./console.ts"
import { startGateway } from "./gateway.ts"
import { createKeys, type SigningKey, type User, userToken } from "./keys.ts"
import type { Log, StackLog } from "./log.ts"
import { holdPort, LOOPBACK } from "./ports.ts"
import { postgresBinaries } from "./postgres/binaries.ts"
import { migrate } from "./postgres/migrate.ts"
import { seedVault } from "./postgres/seedVault.ts"
import { startPostgres } from "./postgres/server.ts"
import { postgrest } from "./postgrest.ts"
import { type DenoVersion, denoProgram, postgrestProgram } from "./programs.ts"
import { startReaper } from "./Reaper.ts"
import type { Service } from "./Service.ts"
import { StackError } from "./StackError.ts"
import { startStorage, type Storage } from "./storage/server.ts"
import { temporaryDirectory } from "./temporary.ts"
import { cronTicker, httpWorker, netWorker, resendServer } from "./workers.ts"

export { StackError }
export type { Service, StackLog }

/** An Edge Function besides the project's own. **Shape** It is served at /functions/v1/<name>. */
export interface StackFunction {
  readonly name: string
  /** One module with `export default { fetch }`. */
  readonly bundle: string
  readonly env?: Readonly<Record<string, string>>
  /** A script that runs before the bundle. Read at each start. */
  readonly prelude?: () => string | undefined
  /** The function's topic, and the Vault secret that its `outbox.watch()` passes as `function_url`. */
  readonly receives?: { readonly topic: string; readonly functionUrl: string }
}

export interface StackOptions {
  /** The gateway's port. Default, or 0: a free one. */
  readonly apiPort?: number
  /** PostgreSQL's port. Default, or 0: a free one. */
  readonly databasePort?: number
  /** The Deno that runs the functions: hosted Supabase's version (the default), or the current one. */
  readonly deno?: DenoVersion
  /** "fast" leaves out the second that pg_net waits between batches. */
  readonly pacing?: "real" | "fast"
  /** More environment for the handler. */
  readonly functionEnv?: Readonly<Record<string, string>>
  /** The same for the orchestrator. */
  readonly orchestratorEnv?: Readonly<Record<string, string>>
  /** A script that runs in the handler before its bundle. Read at each start. */
  readonly handlerPrelude?: () => string | undefined
  /** The ORCHESTRATOR_URL that the handler gets, instead of the stack's own orchestrator. */
  readonly orchestratorUrl?: string
  /** More environment for the function send-email. */
  readonly sendEmailEnv?: Readonly<Record<string, string>>
  /** How many requests per second the stand-in for Resend allows. Default: 2. No limit if 0. */
  readonly resendRequestsPerSecond?: number
  /** Further Edge Functions. Each has WEBHOOK_SECRETS, the settings for mail, and what Supabase sets. */
  readonly functions?: ReadonlyArray<StackFunction>
  /** Whether to apply supabase/migrations. Default: true. */
  readonly migrate?: boolean
  /** Folders with further migrations, applied after the project's own. */
  readonly migrations?: ReadonlyArray<string>
  /** The schemas that the Data API serves, the default one first. Default: public. */
  readonly schemas?: string
  readonly log?: Log
}

/** Where the project's files are; tests use their own. */
export interface StackPlaces {
  readonly functions: string
  readonly migrations: string
}

export interface Stack extends AsyncDisposable {
  /** As role postgres: not a superuser, like on hosted Supabase. */
  readonly databaseUrl: string
  /** As superuser supabase_admin. */
  readonly adminUrl: string
  readonly apiUrl: string
  readonly functionUrl: string
  readonly orchestratorUrl: string
  readonly serviceKey: string
  readonly publishableKey: string
  readonly webhookSecret: string
  /** The URL of the stand-in for Resend, whose page at / lists the mails, and its key. */
  readonly resendUrl: string
  readonly resendKey: string
  readonly signingKey: SigningKey
  /** The access token of a user with that role, such as admin or coordinator, in their app_metadata. */
  readonly userToken: (user?: User) => string
  readonly services: {
    readonly postgres: Service
    readonly postgrest: Service
    readonly handler: Service
    readonly orchestrator: Service
    readonly net: Service
    readonly http: Service
    readonly cron: Service
    readonly resend: Service
  }
  /** The stand-in for Storage. */
  readonly storage: Pick<Storage, "fail" | "uploads">
  /** Where PostgreSQL's programs are kept for the next start. */
  readonly programs: string
  /** The further functions, by name. */
  readonly functions: ReadonlyMap<string, Service>
  /** Stops everything and removes the data. May be called more than once. */
  stop(): Promise<void>
}

export const HANDLER = "pause-status-webhook-handler"
export const ORCHESTRATOR = "pause-notification-orchestrator"
export const SEND_EMAIL = "send-email"

const MAIL_FROM = "Mentoring <mentoring@example.com>"
const RESEND_REQUESTS_PER_SECOND = 2

const project = join(import.meta.dirname, "..", "supabase")
const projectPlaces: StackPlaces = { functions: join(project, "functions"), migrations: join(project, "migrations") }

/** Starts everything on loopback. Resolves when it is ready. */
export const startStack = async (options: StackOptions = {}, places: StackPlaces = projectPlaces): Promise<Stack> => {
  const log = options.log ?? (() => {})
  const keys = createKeys()
  // If a later part fails, everything that was started is stopped in reverse order.
  await using started = new AsyncDisposableStack()

  const reaper = started.use(startReaper())
  const home = await mkdtemp(join(temporaryDirectory(), "pause-status-stack-"))
  reaper.removeAtEnd(home)
  started.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))

  const common = { home, log, reaper }
  const heldPort = started.use(await holdPort(options.apiPort, "apiPort"))
  const apiPort = heldPort.port
  const apiUrl = `http://${LOOPBACK}:${apiPort}`
  const functionUrl = `${apiUrl}/functions/v1/${HANDLER}/api/v1/webhooks/pause-status`
  const orchestratorUrl = `${apiUrl}/functions/v1/${ORCHESTRATOR}`
  const bundleOf = (name: string): string => join(places.functions, name, "dist", "index.mjs")
  const heldResendPort = started.use(await holdPort(0, "resendPort"))
  const resendUrl = `http://${LOOPBACK}:${heldResendPort.port}`
  const mailEnv = { RESEND_BASE_URL: resendUrl, RESEND_API_KEY: keys.resendKey, MAIL_FROM }
  const platformEnv = {
    SUPABASE_URL: apiUrl,
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.serviceKey }),
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey })
  }

  // Check for everything that may be missing before anything starts.
  const [deno, postgrestPath, binaries] = await inParallel(
    denoProgram(options.deno ?? "2.1.4"),
    postgrestProgram(),
    postgresBinaries()
  )
  const handler = edgeFunction({
    ...common,
    name: "handler",
    bundle: bundleOf(HANDLER),
    prelude: options.handlerPrelude,
    deno,
    env: {
      ...platformEnv,
      ...mailEnv,
      WEBHOOK_SECRETS: keys.webhookSecret,
      ORCHESTRATOR_URL: options.orchestratorUrl ?? orchestratorUrl,
      ...options.functionEnv
    }
  })
  const orchestrator = edgeFunction({
    ...common,
    name: "orchestrator",
    bundle: bundleOf(ORCHESTRATOR),
    deno,
    env: { ...platformEnv, ...options.orchestratorEnv }
  })

  const sendEmail: StackFunction = {
    name: SEND_EMAIL,
    bundle: bundleOf(SEND_EMAIL),
    env: options.sendEmailEnv ?? {},
    receives: { topic: "notification-mail", functionUrl: "outbox_send_email_url" }
  }
  const functions = [
    ...(existsSync(join(places.functions, SEND_EMAIL)) ? [sendEmail] : []),
    ...(options.functions ?? [])
  ]
  const further = new Map(
    functions.map(({ bundle, env, name, prelude }) => [
      name,
      edgeFunction({
        ...common,
        name: `functions/${name}`,
        bundle,
        prelude,
        deno,
        env: { ...platformEnv, ...mailEnv, WEBHOOK_SECRETS: keys.webhookSecret, ...env }
      })
    ])
  )

  const resend = resendServer({
    ...common,
    port: heldResendPort.port,
    apiKey: keys.resendKey,
    requestsPerSecond: options.resendRequestsPerSecond ?? RESEND_REQUESTS_PER_SECOND
  })

  const bringUpFunctions = async () => {
    await heldResendPort.release()
    const services = [resend, ...[handler, orchestrator, ...further.values()].map(({ service }) => service)]
    started.defer(() => takeDown(...services))
    await inParallel(...services.map((service) => service.start()))
  }

  const bringUpDatabase = async () => {
    const postgres = started.use(
      await startPostgres({ binaries, port: options.databasePort, password: keys.databasePassword, log, reaper })
    )
    const adminUrl = postgres.urlOf("supabase_admin")
    const databaseUrl = postgres.urlOf("postgres")
    const net = netWorker({ ...common, databaseUrl: adminUrl, pacing: options.pacing ?? "real" })
    const http = httpWorker({ ...common, databaseUrl: adminUrl })
    const cron = cronTicker({ ...common, databaseUrl: adminUrl })
    const rest = postgrest({
      ...common,
      program: postgrestPath,
      databaseUrl: postgres.urlOf("authenticator"),
      jwtSecret: keys.jwtSecret,
      schemas: options.schemas
    })
    started.defer(() => takeDown(net, http, cron, rest.service))
    await inParallel(
      net.start(),
      http.start(),
      cron.start(),
      (async () => {
        if (options.migrate !== false) {
          for (const folder of [places.migrations, ...(options.migrations ?? [])]) await migrate(databaseUrl, folder)
        }
        await seedVault(databaseUrl, {
          outbox_webhook_secret: keys.webhookSecret,
          outbox_function_url: functionUrl,
          ...functionUrls(apiUrl, functions)
        })
        // After the migrations, so that it reads the schema once.
        await rest.service.start()
      })()
    )
    return { postgres, net, http, cron, rest, adminUrl, databaseUrl }
  }

  const storage = started.use(await startStorage(join(home, "storage"), keys))
  let opened: Promise<Console> | undefined
  // Loaded when it is first opened, so that a start does not wait for it.
  const openConsole = async (): Promise<string> => {
    opened ??= import("./console.ts").then(({ startConsole }) =>
      startConsole({ apiUrl, resendUrl, serviceKey: keys.serviceKey })
    )
    return (await opened).url
  }
  started.defer(async () => (await opened)?.[Symbol.asyncDispose]())

  const [database] = await inParallel(bringUpDatabase(), bringUpFunctions())
  await heldPort.release()
  started.use(
    await startGateway(
      apiPort,
      {
        console: openConsole,
        rest: database.rest.upstream,
        storage: storage.upstream,
        functions: new Map([
          [HANDLER, handler.upstream],
          [ORCHESTRATOR, orchestrator.upstream],
          ...[...further].map(([name, { upstream }]) => [name, upstream] as const)
        ])
      },
      keys
    )
  )

  const kept = started.move()
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= kept.disposeAsync())
  return {
    databaseUrl: database.databaseUrl,
    adminUrl: database.adminUrl,
    apiUrl,
    functionUrl,
    orchestratorUrl,
    serviceKey: keys.serviceKey,
    publishableKey: keys.publishableKey,
    webhookSecret: keys.webhookSecret,
    resendUrl,
    resendKey: keys.resendKey,
    signingKey: keys.signingKey,
    userToken: (user) => userToken({ apiUrl, signingKey: keys.signingKey }, user),
    services: {
      postgres: database.postgres.service,
      postgrest: database.rest.service,
      handler: handler.service,
      orchestrator: orchestrator.service,
      net: database.net,
      http: database.http,
      cron: database.cron,
      resend
    },
    storage,
    programs: binaries.directory,
    functions: new Map([...further].map(([name, { service }]) => [name, service])),
    stop,
    [Symbol.asyncDispose]: stop
  }
}

const functionUrls = (apiUrl: string, functions: ReadonlyArray<StackFunction>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    functions.flatMap(({ name, receives }) =>
      receives === undefined
        ? []
        : [[receives.functionUrl, `${apiUrl}/functions/v1/${name}/api/v1/webhooks/${receives.topic}`]]
    )
  )

// Waits for all even if one has failed, because a process that is still starting cannot be stopped.
const inParallel = async <const T extends ReadonlyArray<Promise<unknown>>>(
  ...parts: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> => {
  await Promise.allSettled(parts)
  return Promise.all(parts)
}

const PATIENCE_MILLISECONDS = 500

// A worker finishes its work before it stops, which may take as long as the slowest answer.
const takeDown = async (...services: ReadonlyArray<Service>): Promise<void> => {
  await Promise.all(
    services.map(async (service) => {
      const hurry = setTimeout(() => void service.kill("SIGKILL"), PATIENCE_MILLISECONDS)
      await service.stop()
      clearTimeout(hurry)
    })
  )
}
