import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { connect } from "../local/postgres/connect.ts"
import { codeOf, messageOf } from "../local/StackError.ts"

/** The run cannot continue. The message says why and what to do. */
export class ChaosError extends Error {
  override readonly name = "ChaosError"
}

/** A connection to a database that is killed now and then. It reconnects and repeats the work. */
export interface Session extends AsyncDisposable {
  readonly retrying: <A>(work: (client: Client) => Promise<A>) => Promise<A>
}

const DEADLINE_MILLISECONDS = 60_000
const PAUSE_MILLISECONDS = 50
// Conflicts and deadlocks among the writers, a server that shuts down or starts, and broken connections.
const PASSING = /^(40001|40P01|57P0[123]|08\w{3}|ECONN\w+|EPIPE)$/

const passes = (cause: unknown): boolean =>
  PASSING.test(codeOf(cause) ?? "") || /terminated|not queryable|closed|timeout exceeded/i.test(messageOf(cause))

export const openSession = (url: string, name: string): Session => {
  let client: Client | undefined
  const drop = (): void => {
    const dropped = client
    client = undefined
    void dropped?.end().catch(() => {})
  }
  return {
    retrying: async (work) => {
      const deadline = performance.now() + DEADLINE_MILLISECONDS
      for (;;) {
        try {
          client ??= await connect(url, name)
          return await work(client)
        } catch (cause) {
          drop()
          if (!passes(cause)) throw cause
          if (performance.now() > deadline) {
            throw new ChaosError(`${name} could not work with Postgres for ${DEADLINE_MILLISECONDS / 1_000} s`, {
              cause
            })
          }
          await wait(PAUSE_MILLISECONDS)
        }
      }
    },
    [Symbol.asyncDispose]: async () => drop()
  }
}

/** The rows of one statement. It must be safe to repeat. */
export const rowsOf = <Row extends object>(
  session: Session,
  text: string,
  values: ReadonlyArray<unknown> = []
): Promise<ReadonlyArray<Row>> => session.retrying(async (client) => (await client.query<Row>(text, [...values])).rows)
