import { assert, describe, it } from "@effect/vitest"
import type { DeadLetter, Evidence, Told } from "../../chaos/audit.ts"
import { TOPICS } from "../../chaos/calls.ts"
import { runChaos } from "../../chaos/chaos.ts"
import { Fence } from "../../chaos/Fence.ts"
import { FAULTS, parseOptions, replayCommand } from "../../chaos/options.ts"
import { randomSeed, UsageError } from "../../local/commandLine.ts"
import { planOperations, planWorld } from "../../chaos/plan.ts"
import { makeRandom } from "../../chaos/random.ts"
import { printable, type Report } from "../../chaos/report.ts"
import { STEPS } from "../../chaos/steps.ts"
import { type Change, transitionsIn } from "../../chaos/transitions.ts"
import { verify } from "../../chaos/verify.ts"

describe("chaos", { timeout: 1_200_000 }, () => {
  const reports: Array<Report> = []

  const run = async (seed: number): Promise<void> => {
    const options = { events: 500, mentors: 40, seed, faults: FAULTS, noNet: false }
    console.log(replayCommand(options))
    const report = await runChaos(options, { progress: () => {}, log: () => {} })
    reports.push(report)
    assert.isTrue(report.passed, printable(report))
    assert.isAtLeast(report.events, 400)
    for (const topic of TOPICS) assert.isAtLeast(report.topics[topic]?.["committed"] ?? 0, 100, topic)
    assert.strictEqual(report.notified + (report.deadLetters["neverNotified"] ?? 0), report.events)
  }

  // Two at a time: each waits for leases and restarts more than it computes.
  for (const seeds of [
    [7, 42],
    [1914, randomSeed()]
  ] as const) {
    it(`nothing is lost, doubled or out of order, whatever dies or goes wrong: seeds ${seeds.join(", ")}`, async () => {
      const runs = await Promise.allSettled(seeds.map(run))
      assert.deepStrictEqual(
        runs.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : [])),
        []
      )
    })
  }

  it("the handler's clock was wrong in each way", () => {
    for (const kind of ["clock ahead", "clock behind", "clock far off, then set"]) {
      assert.isTrue(
        reports.some(({ faults }) => (faults[kind] ?? 0) > 0),
        kind
      )
    }
  })

  it("a process was killed at each step", () => {
    for (const step of STEPS) {
      const times = reports.map(({ steps }) => steps[step] ?? 0)
      assert.isAbove(Math.max(0, ...times), 0, step)
    }
  })
})

const told = (version: number, said: string, more: Partial<Told> = {}): Told => ({
  eventId: `event ${version}`,
  key: "mentor",
  listener: "coordinator",
  said,
  version,
  createdAt: version,
  at: version,
  ...more
})

const change = (oldStatus: string, newStatus: string, more: Partial<Change> = {}): Change => ({
  mentorId: "mentor",
  isInsert: false,
  oldMentorId: null,
  oldStatus,
  newStatus,
  transaction: "1",
  at: 0,
  ...more
})

const deadLetter = (more: Partial<DeadLetter> = {}): DeadLetter => ({
  eventId: "event 1",
  key: "mentor",
  version: 1,
  reason: "refused",
  lastError: "status 400",
  failures: 1,
  resolution: "resolved",
  ...more
})

const pauseAndResume = [change("active", "paused"), change("paused", "active")]

interface Given extends Partial<Evidence> {
  readonly changes?: ReadonlyArray<Change>
}

const verdictOn = ({ changes = pauseAndResume, ...evidence }: Given, refused: ReadonlyArray<string> = []) =>
  verify(
    {
      topic: "pause-status",
      transitions: transitionsIn(changes),
      told: [],
      deadLetters: [],
      reconciled: new Map(),
      listenersOf: () => new Set(["coordinator"]),
      ...evidence
    },
    { refused: new Set(refused), maxAttempts: 10, commits: new Map() }
  )

const violationsOf = (evidence: Given, refused: ReadonlyArray<string> = []): ReadonlyArray<string> =>
  verdictOn(evidence, refused).violations.map(({ kind, version }) => `${kind} ${version}`)

describe("the verdict", () => {
  it("accepts a late event if its redrive was forced", () => {
    const late = [told(2, "RESUME"), told(1, "PAUSE", { createdAt: 3 })]
    assert.deepStrictEqual(violationsOf({ told: late, forced: new Set(["event 1"]) }), [])
    assert.include(violationsOf({ told: late, forced: new Set(["another"]) }), "out of order 1")
  })

  it("is clean if each coordinator was notified of each transition once, in order", () => {
    const verdict = verdictOn({ told: [told(1, "PAUSE"), told(2, "RESUME")] })
    assert.deepStrictEqual([verdict.violations, verdict.committed, verdict.notified], [[], 2, 2])
  })

  it("names a transition that was not notified", () => {
    assert.deepStrictEqual(violationsOf({ told: [told(1, "PAUSE")] }), ["lost 2"])
  })

  it("names a transition that one of two coordinators was not notified of", () => {
    const listenersOf = () => new Set(["coordinator", "another"])
    const both = [told(1, "PAUSE"), told(1, "PAUSE", { listener: "another" }), told(2, "RESUME")]
    assert.deepStrictEqual(violationsOf({ listenersOf, told: both }), ["lost 2"])
  })

  it("names a transition that was notified twice", () => {
    const twice = [told(1, "PAUSE"), told(1, "PAUSE"), told(2, "RESUME")]
    assert.deepStrictEqual(violationsOf({ told: twice }), ["doubled 1"])
  })

  it("names a transition that was notified under two event ids", () => {
    const twice = [told(1, "PAUSE"), told(1, "PAUSE", { eventId: "another" }), told(2, "RESUME")]
    assert.include(violationsOf({ told: twice }), "doubled 1")
  })

  it("names a transition that was inserted after its successor", () => {
    assert.include(violationsOf({ told: [told(2, "RESUME"), told(1, "PAUSE")] }), "out of order 1")
  })

  it("names a transition whose time is after its successor's", () => {
    const late = [told(1, "PAUSE", { createdAt: 3 }), told(2, "RESUME")]
    assert.deepStrictEqual(violationsOf({ told: late }), ["out of order 1"])
  })

  it("names a transition that was notified as another", () => {
    assert.deepStrictEqual(violationsOf({ told: [told(1, "RESUME"), told(2, "RESUME")] }), ["untrue 1"])
  })

  it("names a notification although nothing happened", () => {
    const more = [told(1, "PAUSE"), told(2, "RESUME"), told(3, "PAUSE")]
    assert.deepStrictEqual(violationsOf({ told: more }), ["untrue 3"])
  })

  it("accepts a dead letter that was refused by injection and superseded", () => {
    const evidence = { told: [told(2, "RESUME")], deadLetters: [deadLetter()] }
    assert.deepStrictEqual(violationsOf(evidence, ["event 1"]), [])
    assert.deepStrictEqual(violationsOf(evidence), ["unexplained dead letter 1"])
  })

  it("does not accept an open dead letter for a transition", () => {
    const evidence = { told: [told(2, "RESUME")], deadLetters: [deadLetter({ resolution: null })] }
    assert.deepStrictEqual(violationsOf(evidence, ["event 1"]), ["lost 1"])
  })

  it("accepts an exhausted dead letter only after all its attempts, and only if others were completed meanwhile", () => {
    const everything = [told(1, "PAUSE"), told(2, "RESUME")]
    const lastError = "transient: status 500; given up, because before 10 of its 11 failures others were completed"
    const [after9, after10] = [9, 10].map((failures) => [deadLetter({ reason: "exhausted", failures, lastError })])
    const inAnOutage = [deadLetter({ reason: "exhausted", failures: 10 })]
    assert.deepStrictEqual(violationsOf({ told: everything, deadLetters: after10 ?? [] }), [])
    for (const deadLetters of [after9 ?? [], inAnOutage]) {
      assert.deepStrictEqual(violationsOf({ told: everything, deadLetters }), ["unexplained dead letter 1"])
    }
  })

  it("compares with the last status that was active or paused", () => {
    const told12 = [told(1, "PAUSE"), told(2, "RESUME")]
    const start = change("", "active", { isInsert: true, oldStatus: null })
    const words = [start, change("active", "on leave"), change("on leave", "paused"), change("paused", "active")]
    assert.deepStrictEqual(violationsOf({ changes: words, told: told12 }), [])
    const backAgain = [start, change("active", "paused"), change("paused", "on leave"), change("on leave", "paused")]
    assert.deepStrictEqual(violationsOf({ changes: backAgain, told: told12 }), ["untrue 2"])
  })

  it("follows a mentor to another id", () => {
    const moved = [
      change("", "active", { mentorId: "old", isInsert: true, oldStatus: null }),
      change("active", "paused", { oldMentorId: "old" })
    ]
    assert.deepStrictEqual(violationsOf({ changes: moved, told: [told(1, "PAUSE")] }), [])
    assert.deepStrictEqual(violationsOf({ changes: moved, told: [] }), ["lost 1"])
  })

  it("accepts nothing from the reconciliation, because the trigger captures everything", () => {
    const reconciled = new Map([["mentor", new Set([1])]])
    assert.deepStrictEqual(violationsOf({ reconciled, told: [told(1, "PAUSE"), told(2, "RESUME")] }), ["doubled 1"])
  })
})

const reply = (value: unknown) => async () => ({ status: 200, headers: [], body: Buffer.from(JSON.stringify(value)) })
const call = (kind: "claim" | "settle", body: unknown) => ({
  kind,
  method: "POST",
  path: "",
  headers: [],
  body: Buffer.from(JSON.stringify(body))
})

const grant = (fence: Fence, token: number) =>
  fence.watch(call("claim", {}), reply([{ eventId: "event", outcome: "claimed", token }]))
const settle = (fence: Fence, token: number, outcome: string) =>
  fence.watch(
    call("settle", { settlements: [{ eventId: "event", token }] }),
    reply({ settled: [{ eventId: "event", outcome }], next: [] })
  )

describe("the watch over claims", () => {
  it("catches a settlement with an old token that took effect, and no other", async () => {
    const fence = new Fence()
    await grant(fence, 1)
    await settle(fence, 1, "released")
    await grant(fence, 2)
    await settle(fence, 1, "stale")
    assert.deepStrictEqual([fence.trespasses.length, fence.turnedAway], [0, 1])
    await settle(fence, 1, "completed")
    assert.strictEqual(fence.trespasses.length, 1)
  })

  it("knows the claims that a settlement returns", async () => {
    const fence = new Fence()
    const next = [{ payload: { event_id: "event" }, token: 2 }]
    await fence.watch(call("settle", { settlements: [] }), reply({ settled: [], next }))
    await settle(fence, 1, "completed")
    assert.strictEqual(fence.trespasses.length, 1)
  })
})

const decisions = (seed: string) => {
  const random = makeRandom(seed)
  const world = planWorld(random.fork("world"), 20)
  return [world, ...planOperations(random.fork("writer"), world, 10).take(200)]
}

describe("a seed", () => {
  it("decides everything, and another seed decides differently", () => {
    assert.deepStrictEqual(decisions("1"), decisions("1"))
    assert.notDeepEqual(decisions("1"), decisions("2"))
  })

  it("is in the command that replays a run", () => {
    const options = parseOptions(["--events", "10", "--mentors", "3", "--seed", "5", "--faults", "order,kill"])
    const [, , , ...args] = replayCommand(options).split(" ")
    assert.deepStrictEqual(parseOptions(args.slice(1)), options)
  })

  it("must be a number, and every kind of fault must be known", () => {
    assert.throws(() => parseOptions(["--seed", "x"]), UsageError)
    assert.throws(() => parseOptions(["--faults", "meteors"]), UsageError)
  })
})
