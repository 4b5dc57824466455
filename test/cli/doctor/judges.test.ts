import { assert, describe, it } from "@effect/vitest"
import { Duration, Option } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { judgeChange } from "../../../cli/doctor/Canary.ts"
import { judgeUnheard, judgeWords } from "../../../cli/doctor/checks/Capture.ts"
import { judgeClocks, judgeReport, judgeSecrets, judgeUrl } from "../../../cli/doctor/checks/Deliveries.ts"
import { judgeExtensions, judgeRoutines, shippedFunctions } from "../../../cli/doctor/checks/Installation.ts"
import type { Answer, Probed } from "../../../cli/doctor/Probe.ts"

const url = "https://abc.supabase.co/functions/v1/pause-status-webhook-handler/api/v1/webhooks/pause-status"
const probed = (answer: Answer, skewSeconds: Option.Option<number> = Option.none()): Probed => ({
  topic: "pause-status",
  answer,
  skewSeconds
})
const replied = (status: number, word = "") => probed({ _tag: "Replied", url, status, word })
const details = (list: ReadonlyArray<{ readonly detail: string }> | undefined) => list?.map(({ detail }) => detail)

describe("the extensions", () => {
  const installed = [
    { name: "pgcrypto", version: "1.3" },
    { name: "pg_net", version: "0.14.0" },
    { name: "pg_cron", version: "1.6" },
    { name: "supabase_vault", version: "0.3.1" }
  ]

  it("may be newer than required", () => {
    assert.deepStrictEqual(judgeExtensions(installed), [])
    assert.deepStrictEqual(judgeExtensions(installed.map(({ name }) => ({ name, version: "2.0" }))), [])
  })

  it("are compared as numbers, not as text", () => {
    const withNet = (version: string) => [
      ...installed.filter(({ name }) => name !== "pg_net"),
      { name: "pg_net", version }
    ]
    assert.deepStrictEqual(judgeExtensions(withNet("0.10.1")), [])
    assert.deepStrictEqual(details(judgeExtensions(withNet("0.7.3"))), ["pg_net is 0.7.3; 0.8 is needed."])
  })
})

describe("the functions of a version", () => {
  const folder = new URL("../../../supabase/migrations/", import.meta.url)
  const migrations = readdirSync(folder).map((name) => ({
    name: name.replaceAll(/^\d+_|\.sql$/g, ""),
    text: readFileSync(new URL(name, folder), "utf8")
  }))

  it("are read from its migrations, except the one that a project may replace", () => {
    const shipped = shippedFunctions(migrations)
    assert.isAtLeast(shipped.size, 80)
    assert.includeMembers([...shipped.keys()], ["outbox.sweep", "outbox.watch", "public.outbox_claim"])
    assert.isFalse(shipped.has("outbox.touch"))
  })

  it("count with their last definition", () => {
    const define = (body: string) => ({ name: "x", text: `create or replace function outbox.f() as $$${body}$$;` })
    const found = (body: string) => [...shippedFunctions([define(body)])].map(([name, md5]) => ({ name, body: md5 }))
    const shipped = shippedFunctions([define("one"), define("two")])
    assert.deepStrictEqual(judgeRoutines(shipped, found("two")), [])
    assert.match(String(details(judgeRoutines(shipped, found("one")))), /^outbox\.f is not/)
  })

  it("are counted when many differ", () => {
    assert.match(
      String(
        details(
          judgeRoutines(
            new Map([
              ["a", "1"],
              ["b", "2"],
              ["c", "3"]
            ]),
            []
          )
        )
      ),
      /^a and 2 other functions are not/
    )
  })
})

describe("the words of a column", () => {
  const column = {
    topic: "pause-status",
    relation: "public.mentors",
    column: "state",
    words: { active: ["ACTIVE"], paused: ["ON_LEAVE", "SICK"] }
  }

  it("may leave out values, and rows may have only one of them", () => {
    assert.deepStrictEqual(judgeWords(column, ["SICK", "RETIRED"]), [])
    assert.deepStrictEqual(judgeWords(column, []), [])
  })

  it("are wrong if no row has any of them", () => {
    assert.deepStrictEqual(details(judgeWords(column, ["on", "off"])), [
      "No row of public.mentors has a state that pause-status knows, only: on, off."
    ])
  })

  it("are wrong if a value differs only by case or space", () => {
    assert.deepStrictEqual(details(judgeWords(column, ["ACTIVE", "sick "])), [
      'public.mentors.state has the value "sick ", which pause-status ignores.'
    ])
  })
})

describe("mentors without coordinators", () => {
  it("are named, three at most", () => {
    const of = (mentors: number, examples: ReadonlyArray<string>) => {
      const verdict = judgeUnheard({ mentors, examples })
      return verdict._tag === "Wrong" ? String(details(verdict.wrong)) : verdict._tag
    }
    assert.strictEqual(of(0, []), "Ok")
    assert.strictEqual(of(4, ["a", "b", "c"]), "4 mentors have no existing coordinator: a, b, c, …")
    assert.match(of(1001, ["a", "b", "c"]), /^More than 1,000 mentors have/)
  })
})

describe("a signed delivery", () => {
  it.each([
    ["no_change", replied(200, "no_change")],
    ["invalid_payload, as another topic answers", replied(400, "invalid_payload")],
    ["stale_signature, as a wrong clock makes it", replied(401, "stale_signature")]
  ])("that is answered %s proves the URL and the secret", (_, probe) => {
    assert.deepStrictEqual([judgeUrl(probe, "https://abc.supabase.co"), judgeSecrets(probe)], [[], []])
  })

  it("that Supabase refuses before the function runs needs verify_jwt = false, and proves no secret", () => {
    const [found] = judgeUrl(replied(401, "UNAUTHORIZED_NO_AUTH_HEADER"), undefined)
    assert.match(String(found?.cure), /verify_jwt = false/)
    assert.isUndefined(judgeSecrets(replied(401, "UNAUTHORIZED_NO_AUTH_HEADER")))
  })

  it("that reaches a function without its settings says so", () => {
    assert.match(String(details(judgeSecrets(replied(503, "misconfigured")))), /lacks a setting/)
  })

  it("that fails proves nothing about the secret or the clock", () => {
    assert.isUndefined(judgeSecrets(replied(500, "internal")))
    assert.isUndefined(judgeSecrets(probed({ _tag: "Unreachable", url, detail: "refused" })))
    assert.isUndefined(judgeClocks(replied(500, "internal")))
  })

  it("shows how far apart the clocks are, and a minute is tolerated", () => {
    const off = (seconds: number) =>
      judgeClocks(probed({ _tag: "Replied", url, status: 200, word: "" }, Option.some(seconds)))
    assert.deepStrictEqual([off(60), off(-60)], [[], []])
    assert.match(String(details(off(61))), /61 s ahead of Postgres/)
    assert.match(String(details(off(-61))), /61 s behind Postgres/)
  })
})

describe("the function's own report", () => {
  const report = (checks: Parameters<typeof judgeReport>[0]["checks"]) => judgeReport({ checks, queue: null })._tag

  it("is wrong if the function lacks the database or its secrets, but not if Vault or the outbox does", () => {
    assert.strictEqual(report({ database: { ok: true }, secrets: { ok: true } }), "Ok")
    assert.strictEqual(report({ database: { ok: false, detail: "the database does not answer" } }), "Wrong")
    assert.strictEqual(report({ secrets: { ok: false, detail: "the handler has no secret" } }), "Wrong")
    assert.strictEqual(report({ secrets: { ok: false, detail: "Vault has no outbox_webhook_secret" } }), "Ok")
    assert.strictEqual(report({ jobs: { ok: false, detail: "silent" } }), "Ok")
  })
})

describe("a change of the canary", () => {
  const state = { status: "completed", error: null, notified: 1, millis: 41 }
  const judged = (
    changed: Partial<Omit<typeof state, "error" | "notified">> & { error?: string; notified?: number }
  ) => {
    const verdict = judgeChange("pause", { ...state, ...changed }, Duration.seconds(60))
    return verdict._tag === "Wrong"
      ? String(details(verdict.wrong))
      : verdict._tag === "Ok"
        ? verdict.seen
        : verdict.needs
  }

  it("is ok once somebody was notified", () => {
    assert.strictEqual(judged({}), "pause notified after 41\u00A0ms")
  })

  it("is wrong if it made no event, was given up, reached nobody, or is not finished", () => {
    assert.strictEqual(judgeChange("pause", undefined, Duration.seconds(60))._tag, "Wrong")
    assert.match(judged({ status: "failed", error: "refused" }), /dead letter: refused/)
    assert.match(judged({ notified: 0 }), /reached nobody/)
    assert.match(judged({ status: "pending", error: "503" }), /pending after 1m: 503/)
  })
})
