import { type Call, objectsIn, type Reply } from "./calls.ts"

export interface Trespass {
  readonly kind: "trespass"
  readonly eventId: string
  readonly detail: string
}

/** An attempt that a settlement ended. **Units** `at` milliseconds since 1970. */
export interface Ending {
  readonly eventId: string
  readonly token: number
  readonly at: number
}

/**
 * Watches claims and settlements. It catches a settlement that took effect although another claim of the event had been
 * granted before it was sent. The verdict would not show that, because the next line of defence holds.
 */
export class Fence {
  readonly #sentAt = new Map<string, number>()
  readonly trespasses: Array<Trespass> = []
  /** Settlements with an old token that were refused. */
  turnedAway = 0
  readonly #newest = new Map<string, number>()
  #waiting: Array<{ readonly tokens: ReadonlyMap<string, number>; readonly granted: () => void }> = []

  /** Passes on a claim or a settlement, and records the request and the reply. */
  async watch(call: Call, reply: () => Promise<Reply>): Promise<Reply> {
    if (call.kind !== "claim" && call.kind !== "settle") return reply()
    // A token that is known before the settlement is sent was granted before the settlement can take effect.
    const known = call.kind === "settle" ? this.#known(call) : undefined
    if (known !== undefined) this.#noteSent(call)
    const answer = await reply()
    if (answer.status !== 200) return answer
    if (known !== undefined) this.#check(call, answer, known)
    this.#grant(known === undefined ? objectsIn(answer.body) : handedBack(answer))
    return answer
  }

  /** Resolves when one of these events is claimed again, so that the settlement at hand has an old token. */
  claimedAnew(call: Call): Promise<void> {
    return new Promise((granted) => void this.#waiting.push({ tokens: tokensIn(call), granted }))
  }

  /** Checks that no attempt ended before its claimant sent a settlement, whatever the replies said. */
  checkEndings(endings: ReadonlyArray<Ending>): void {
    for (const { at, eventId, token } of endings) {
      const sentAt = this.#sentAt.get(`${eventId} ${token}`)
      if (sentAt !== undefined && sentAt <= at) continue
      const detail = `the claim with token ${token} was ended before its claimant settled it`
      this.trespasses.push({ kind: "trespass", eventId, detail })
    }
  }

  /** What it has caught so far, as one line; empty if nothing. */
  complaints(): ReadonlyArray<string> {
    const [first] = this.trespasses
    if (first === undefined) return []
    return [`The rules of claims were broken ${this.trespasses.length} times, first: ${JSON.stringify(first)}`]
  }

  #noteSent(call: Call): void {
    const now = Date.now()
    for (const [eventId, token] of tokensIn(call)) {
      const key = `${eventId} ${token}`
      if (!this.#sentAt.has(key)) this.#sentAt.set(key, now)
    }
  }

  #known(call: Call): ReadonlyMap<string, number> {
    const eventIds = [...tokensIn(call).keys()]
    return new Map(eventIds.map((eventId) => [eventId, this.#newest.get(eventId) ?? 0]))
  }

  #grant(answers: ReadonlyArray<Record<string, unknown>>): void {
    for (const { eventId, outcome, token } of answers) {
      const key = String(eventId)
      if (outcome !== "claimed") continue
      this.#newest.set(key, Math.max(Number(token), this.#newest.get(key) ?? 0))
    }
    this.#waiting = this.#waiting.filter(({ granted, tokens }) => {
      const isOld = [...tokens].some(([eventId, token]) => token < (this.#newest.get(eventId) ?? 0))
      if (isOld) granted()
      return !isOld
    })
  }

  #check(call: Call, answer: Reply, known: ReadonlyMap<string, number>): void {
    const outcomes = objectsIn(answer.body, "settled").map(({ outcome }) => String(outcome))
    for (const [index, { eventId, token }] of objectsIn(call.body, "settlements").entries()) {
      const newestToken = known.get(String(eventId)) ?? 0
      if (Number(token) >= newestToken) continue
      const outcome = outcomes[index] ?? "nothing"
      if (outcome === "stale") this.turnedAway += 1
      else {
        const detail = `settlement with token ${token} was answered ${outcome} after token ${newestToken} was granted`
        this.trespasses.push({ kind: "trespass", eventId: String(eventId), detail })
      }
    }
  }
}

/** The claims in the reply to a settlement. */
const handedBack = ({ body }: Reply) =>
  objectsIn(body, "next").map(({ payload, token }) => ({
    eventId: Object(payload).event_id,
    outcome: "claimed",
    token
  }))

const tokensIn = (call: Call): ReadonlyMap<string, number> =>
  new Map(objectsIn(call.body, "settlements").map(({ eventId, token }) => [String(eventId), Number(token)]))
