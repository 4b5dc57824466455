import type { Input } from "./Input.ts"
import { connect, type Connection, converse, type Outcome } from "./wire.ts"

export type Said = Outcome

/** Says inputs, one at a time: most on one connection, as a client with a pool does. */
export interface Talk extends AsyncDisposable {
  readonly say: (input: Input) => Promise<Said>
}

const DEADLINE_MILLISECONDS = 20_000

const sayOn = (connection: Connection, { alone, pieces, replies }: Input): Promise<Outcome> =>
  converse(
    connection,
    pieces,
    replies.map(({ method }) => method),
    { alone, deadlineMillis: DEADLINE_MILLISECONDS }
  )

export const sayTo = (port: () => number): Talk => {
  let kept: Connection | undefined
  return {
    say: async (input) => {
      if (input.alone) {
        const connection = await connect(port())
        const outcome = await sayOn(connection, input)
        connection.socket.destroy()
        return outcome
      }
      if (kept !== undefined && !kept.closed) {
        const outcome = await sayOn(kept, input)
        // The server may close a connection that it has answered on, just as it is used again.
        if (outcome.replies.length > 0 || outcome.end !== "closed") return outcome
      }
      kept?.socket.destroy()
      kept = await connect(port())
      return sayOn(kept, input)
    },
    [Symbol.asyncDispose]: async () => void kept?.socket.destroy()
  }
}
