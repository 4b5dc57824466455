import { randomBytes, randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { Client } from "pg"
import type { DenoVersion } from "../../local/programs.ts"
import { type Service, startStack } from "../../local/stack.ts"
import { patientEnv, unhurried } from "../support/patience.ts"
import { type Proxy, startProxy } from "../support/proxy.ts"
import { makeRandom } from "../../chaos/random.ts"
import { CANARY, type Input, type World } from "./Input.ts"
import { genuineInput } from "./requests.ts"

/** The running function, everything that it could reach, and what can be seen of it. */
export interface System extends AsyncDisposable {
  readonly world: World
  readonly handler: Service
  /** Where the function itself listens, without a gateway before it. */
  readonly port: () => number
  readonly proxy: Proxy
  readonly prepare: (mentorIds: ReadonlyArray<string>) => Promise<void>
  /** Rows of public.notifications, and those of them that belong to these events. */
  readonly notifications: (eventIds: ReadonlyArray<string>) => Promise<{ all: number; theirs: number }>
  /** What is to be said before anything else: the deliveries of the events that the world has. */
  readonly told: ReadonlyArray<Input>
  /** What the handler's log must not hold. */
  readonly leaks: ReadonlyArray<string>
  /** Megabytes that the handler's process has in memory; nothing where the system does not tell. */
  readonly memory: () => Promise<number | undefined>
}

export const COORDINATORS = 2
const MENTORS = 20
const BODY_TIMEOUT_MILLISECONDS = 3_000
const EVENTS = 10
const LONGEST_LOG_LINE = 10_000
const LISTENING = /Listening on http:\/\/[^:]+:(\d+)\//

const insertMentors = `with mentors as (
    insert into public.peer_mentor_profiles (id, status) select unnest($1::uuid[]), 'active' returning id
  ), told as (
    insert into public.coordinators (name) select 'coordinator ' || n from generate_series(1, $2) as n returning id
  )
  insert into public.mentor_coordinators (mentor_id, coordinator_id) select mentors.id, told.id from mentors, told`

export const startSystem = async (deno: DenoVersion): Promise<System> => {
  await using started = new AsyncDisposableStack()
  const proxy = started.use(await startProxy())
  const leaks: Array<string> = []
  const forbidden = [CANARY, "defect"]
  let port = 0
  const jwtSecret = randomBytes(32).toString("base64url")
  const stack = started.use(
    await startStack({
      deno,
      orchestratorUrl: `${proxy.url}/functions/v1/pause-notification-orchestrator`,
      functionEnv: {
        ...patientEnv,
        SUPABASE_URL: proxy.url,
        JWT_SECRET: jwtSecret,
        BODY_TIMEOUT_MS: String(BODY_TIMEOUT_MILLISECONDS)
      },
      orchestratorEnv: patientEnv,
      log: ({ source, text }) => {
        if (source !== "handler") return
        port = Number(LISTENING.exec(text)?.[1] ?? port)
        if (text.length > LONGEST_LOG_LINE || forbidden.some((word) => text.includes(word))) {
          leaks.push(text.slice(0, 2_000))
        }
      }
    })
  )
  proxy.target = stack.apiUrl
  forbidden.push(stack.webhookSecret.slice("whsec_".length), stack.serviceKey, jwtSecret)
  // Only what is delivered here may be told: nothing is swept, and no difference is reconciled.
  await stack.services.cron.stop()
  // A long run is not the place for an alert of that: the times in it look like lines of a stack.
  await unhurried(stack.databaseUrl)
  const client = new Client(stack.databaseUrl)
  await client.connect()
  started.defer(() => client.end())
  const prepare = async (mentorIds: ReadonlyArray<string>): Promise<void> => {
    await client.query(insertMentors, [mentorIds, COORDINATORS])
  }
  const mentorIds = Array.from({ length: MENTORS }, () => randomUUID())
  await prepare(mentorIds)
  const told = Array.from({ length: EVENTS }, (_, at) =>
    genuineInput(makeRandom(`${at}`), { secret: stack.webhookSecret })
  )
  const events = told.flatMap(({ genuine }) => (genuine === undefined ? [] : [genuine]))
  await prepare(events.map(({ mentorId }) => mentorId))
  const kept = started.move()
  return {
    world: {
      secret: stack.webhookSecret,
      mentorIds,
      eventIds: events.map(({ eventId }) => eventId),
      jwt: { issuer: `${proxy.url}/auth/v1`, secret: jwtSecret },
      serviceKey: stack.serviceKey,
      publishableKey: stack.publishableKey,
      bodyTimeoutMillis: BODY_TIMEOUT_MILLISECONDS,
      maxBodyBytes: 262_144
    },
    handler: stack.services.handler,
    port: () => port,
    proxy,
    prepare,
    notifications: async (eventIds) => {
      const { rows } = await client.query<{ all: number; theirs: number }>(
        `select count(*)::int as all, count(*) filter (where event_id = any ($1::uuid[]))::int as theirs
         from public.notifications`,
        [eventIds]
      )
      return rows[0] ?? { all: 0, theirs: 0 }
    },
    told,
    leaks,
    memory: async () => {
      const status = await readFile(`/proc/${stack.services.handler.pid}/status`, "utf8").catch(() => "")
      const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
      return kilobytes === undefined ? undefined : Number(kilobytes) / 1_024
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}
