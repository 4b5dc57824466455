import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as MailerMemory from "../../src/layers/MailerMemory.ts"
import { sendMail, textOf } from "../../src/services/SendMail.ts"
import { html } from "../../src/services/MailHtml.ts"
import { bytesOf } from "../support/payloads.ts"

const mail = { to: "bo@example.com", subject: "Hello", html: "<h1>Hello</h1><p>you &amp; me</p>" }

const sending = (body: unknown, key?: string, ...behaviours: ReadonlyArray<MailerMemory.Behaviour>) => {
  const { layer, state } = MailerMemory.make(...behaviours)
  return { state, result: Effect.provide(sendMail(bytesOf(body), key), layer) }
}

const issuesOf = (body: unknown, key?: string) =>
  Effect.map(Effect.flip(sending(body, key).result), (error) =>
    "issues" in error ? error.issues.map(({ path }) => path.join(".")) : assert.fail(error._tag)
  )

describe("a mail that a program asks for", () => {
  it.effect("is sent as requested", () => {
    const whole = { ...mail, text: "Hello, you & me", from: "Mentoring <mail@example.com>" }
    const { result, state } = sending(whole, "welcome/7")
    return Effect.gen(function* () {
      assert.strictEqual(yield* result, "mail-1")
      assert.deepStrictEqual(state.calls, [{ ...whole, idempotencyKey: "welcome/7" }])
    })
  })

  it.effect("gets a text part if it has none", () => {
    const { result, state } = sending(mail)
    return Effect.gen(function* () {
      yield* result
      assert.deepStrictEqual(state.calls, [{ ...mail, text: "Hello\nyou & me" }])
    })
  })

  it.effect("keeps an empty text part, which its sender wants", () => {
    const { result, state } = sending({ ...mail, text: "" })
    return Effect.gen(function* () {
      yield* result
      assert.strictEqual(state.calls[0]?.text, "")
    })
  })

  it.effect.each([
    [[], [""]],
    ["text", [""]],
    [{}, ["to", "subject", "html"]],
    [{ ...mail, to: "bo" }, ["to"]],
    [{ ...mail, to: ["bo@example.com"] }, ["to"]],
    [{ ...mail, to: "bo@example.com\nBcc: eve@example.com" }, ["to"]],
    [{ ...mail, subject: "" }, ["subject"]],
    [{ ...mail, subject: "two\nlines" }, ["subject"]],
    [{ ...mail, subject: "x".repeat(999) }, ["subject"]],
    [{ ...mail, html: "" }, ["html"]],
    [{ ...mail, html: 7, text: null, from: "nobody" }, ["html", "text", "from"]]
  ] as const)("is refused with every issue: %j", ([body, paths]) =>
    Effect.gen(function* () {
      assert.sameMembers(yield* issuesOf(body), [...paths])
    })
  )

  it.effect.each(["", "x".repeat(257), "ü", "a b"])("is refused with an invalid key: %j", (key) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* issuesOf({ ...mail, to: "bo" }, key), ["to", "Idempotency-Key"])
    })
  )

  it.effect("is refused if it is not JSON", () =>
    Effect.gen(function* () {
      const broken = sendMail(new TextEncoder().encode("{"), undefined).pipe(Effect.provide(MailerMemory.layer))
      assert.strictEqual((yield* Effect.flip(broken))._tag, "MalformedBody")
    })
  )

  it.effect.each([
    ["refuse", "permanent"],
    ["fail", "transient"],
    ["accept and lose the reply", "transient"],
    ["limit", "transient"]
  ] as const)("that fails says whether a retry can help: %s is %s", ([behaviour, kind]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(sending(mail, undefined, behaviour).result)
      assert.strictEqual("release" in error ? error.release.kind : error._tag, kind)
    })
  )
})

describe("the text of markup", () => {
  it.each([
    ["<p>one</p>\n  <p>two</p>", "one\ntwo"],
    ["one<br>two<br/>three", "one\ntwo\nthree"],
    ["<head><title>t</title><style>p { }</style></head><p>x</p>", "x"],
    ["<script>alert(1)</script><!-- no -->x", "x"],
    ["<ul><li>a</li><li>b</li></ul>", "a\nb"],
    ["a &lt;b&gt; &amp;amp; &quot;&#39;&nbsp;c &unknown;", "a <b> &amp; \"' c &unknown;"],
    ["<p\nclass='x'>a\n\n b</p>", "a b"],
    ["", ""]
  ])("%j is %j", (markup, text) => {
    assert.strictEqual(textOf(markup), text)
  })

  it.effect.prop("of an escaped text is that text, but for white space", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const words = text.replaceAll(/\s+/g, " ").trim()
      assert.strictEqual(textOf(html`<p>${words}</p>`.markup), words)
    })
  )
})
