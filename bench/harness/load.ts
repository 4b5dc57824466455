import autocannon from "autocannon"
import { LOOPBACK } from "../../local/ports.ts"
import type { Call } from "../variants/requests.ts"
import { BenchError } from "./question.ts"

export interface Load {
  readonly seconds: number
  /** Milliseconds per request. */
  readonly latencies: ReadonlyArray<number>
}

// How often autocannon checks whether it has finished.
const SAMPLE_MILLISECONDS = 50

/** Sends one request so many times over kept connections, one at a time on each. */
export const load = (port: number, { body, headers, path }: Call, connections: number, amount: number): Promise<Load> =>
  new Promise((resolve, reject) => {
    const latencies: Array<number> = []
    const began = performance.now()
    let ended = began
    const target = { url: `http://${LOOPBACK}:${port}${path}`, method: "POST" as const, headers, body }
    const running = autocannon({ ...target, connections, amount, sampleInt: SAMPLE_MILLISECONDS }, (error, result) => {
      if (error !== null) return reject(error)
      if (result["2xx"] !== amount) {
        return reject(new BenchError(`${amount} requests were sent, but answered with 200: ${result["2xx"]}`))
      }
      resolve({ seconds: (ended - began) / 1_000, latencies })
    })
    running.on("response", (_client: unknown, _status: unknown, _bytes: unknown, milliseconds: number) => {
      latencies.push(milliseconds)
      ended = performance.now()
    })
  })
