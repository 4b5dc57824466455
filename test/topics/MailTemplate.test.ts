import { assert, describe, it } from "@effect/vitest"
import axe from "axe-core"
import { Effect, Schema } from "effect"
import { JSDOM } from "jsdom"
import { Mail } from "../../src/services/Mailer.ts"
import { html } from "../../src/services/MailHtml.ts"
import { inTimeZone, nameOf, type Told } from "../../src/topics/MailTemplate.ts"
import { wording } from "../../src/topics/MailWording.ts"

const told: Told = { transition: "PAUSE", mentor: "Ada", coordinator: "Bo", since: "2026-11-22T09:30:00.123456Z" }
const back: Told = { ...told, transition: "RESUME" }
const write = inTimeZone("UTC")
const documentOf = (mail: Told) => new JSDOM(write(mail).html).window.document
const linesOf = (mail: Told) =>
  [...documentOf(mail).querySelectorAll("p")].map(({ textContent }) => textContent?.replaceAll(/\s+/g, " ").trim())

const Name = Schema.NullOr(Schema.String)
const isMail = Schema.is(Mail)

describe("a mail to a coordinator", () => {
  it("says who, what, since when and what to do", () => {
    assert.strictEqual(write(told).subject, "Ada is paused")
    assert.deepStrictEqual(linesOf(told), [
      "Hello Bo,",
      "Ada takes no sessions for now.",
      "Since: Sunday, November 22, 2026 at 9:30 AM (UTC)",
      `What to do: ${wording.about.PAUSE.toDo}`,
      wording.reason
    ])
    assert.strictEqual(write(back).subject, "Ada is back")
    assert.strictEqual(linesOf(back)[1], "Ada takes sessions again.")
  })

  it("has a text part that says the same", () => {
    for (const mail of [told, back]) {
      assert.deepStrictEqual(write(mail).text.split("\n\n"), linesOf(mail))
    }
  })

  it("gives times in the time zone that is set", () => {
    assert.include(inTimeZone("Asia/Tokyo")(told).text, "at 6:30 PM (Asia/Tokyo)")
  })

  it("shows an invalid time unchanged", () => {
    assert.include(write({ ...told, since: "some day" }).text, "Since: some day")
  })

  it("does without names", () => {
    const nameless: Told = { ...told, mentor: undefined, coordinator: undefined }
    assert.strictEqual(write(nameless).subject, "A mentor is paused")
    assert.strictEqual(linesOf(nameless)[0], "Hello,")
  })

  it.each([told, back])("has a language, a title, one heading and one main part: $transition", (mail) => {
    const document = documentOf(mail)
    assert.strictEqual(document.documentElement.lang, "en")
    assert.strictEqual(document.title, write(mail).subject)
    assert.lengthOf(document.querySelectorAll("h1"), 1)
    assert.lengthOf(document.querySelectorAll("main"), 1)
  })

  it.each([told, back])("passes axe: $transition", async (mail) => {
    const { window } = new JSDOM(write(mail).html, { runScripts: "outside-only" })
    window.eval(axe.source)
    // There is no layout here, so nothing is known of colours.
    const run = `axe.run(document, { rules: { "color-contrast": { enabled: false } } }).then(JSON.stringify)`
    const { passes, violations } = JSON.parse(String(await window.eval(run)))
    const idsOf = (found: ReadonlyArray<{ readonly id: string }>) => found.map(({ id }) => id)
    assert.deepStrictEqual(idsOf(violations), [])
    assert.includeMembers(idsOf(passes), ["document-title", "html-lang-valid", "heading-order", "region"])
  })

  it("asks for nothing from elsewhere: no script, no picture, no link", () => {
    assert.isEmpty(documentOf(told).querySelectorAll("script, img, link, style, a, iframe, form"))
  })

  it.effect.prop(
    "is accepted by the mailer, whatever people are called, and keeps its markup",
    [Name, Name, Schema.String],
    ([mentor, coordinator, since]) =>
      Effect.sync(() => {
        const mail = { ...told, mentor: nameOf(mentor), coordinator: nameOf(coordinator), since }
        assert.isTrue(isMail({ to: "bo@example.com", ...write(mail) }))
        assert.deepStrictEqual(
          [...documentOf(mail).querySelectorAll("*")].map(({ tagName }) => tagName),
          [...documentOf(told).querySelectorAll("*")].map(({ tagName }) => tagName)
        )
      }),
    { arbitrary: { runs: 50 } }
  )

  it("shows markup in a name as text", () => {
    const mail = { ...told, mentor: '<img src=x onerror="alert(1)"> & \'"' }
    assert.strictEqual(documentOf(mail).querySelector("h1")?.textContent, `${mail.mentor} is paused`)
    assert.isNull(documentOf(mail).querySelector("img"))
  })
})

describe("a name", () => {
  it.each([
    [null, undefined],
    ["", undefined],
    [" \n\t", undefined],
    ["Ada\r\nBcc: eve@example.com", "Ada Bcc: eve@example.com"],
    ["  Ada   Lovelace ", "Ada Lovelace"],
    ["x".repeat(100), "x".repeat(100)],
    ["x".repeat(101), `${"x".repeat(99)}…`],
    ["😀".repeat(101), `${"😀".repeat(99)}…`]
  ])("%j is written as %j", (name, written) => {
    assert.strictEqual(nameOf(name), written)
  })
})

describe("html", () => {
  it("escapes texts and leaves markup", () => {
    const inner = html`<b title="${`"'`}">${"<&>"}</b>`
    assert.strictEqual(html`<p>${inner}</p>`.markup, '<p><b title="&quot;&#39;">&lt;&amp;&gt;</b></p>')
  })
})
