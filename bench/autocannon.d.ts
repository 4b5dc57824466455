// The part of autocannon that we use; it has no types.
declare module "autocannon" {
  import type { EventEmitter } from "node:events"

  interface Options {
    readonly url: string
    readonly method: "POST"
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
    readonly connections: number
    /** Requests in total. */
    readonly amount: number
    /** Milliseconds between two checks of its progress. */
    readonly sampleInt: number
  }

  interface Result {
    readonly errors: number
    readonly timeouts: number
    readonly non2xx: number
    readonly "2xx": number
  }

  const autocannon: (options: Options, done: (error: Error | null, result: Result) => void) => EventEmitter
  export default autocannon
}
