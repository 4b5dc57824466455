import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import type { Browser, BrowserContextOptions } from "playwright-core"
import { type Console, startConsole } from "../../local/console.ts"
import type { EventHistory } from "../../src/schema/Events.ts"
import { Version } from "../../src/schema/Identifiers.ts"
import { browserPath, openBrowser, openPage } from "../support/browser.ts"
import { eventually } from "../support/eventually.ts"
import { aDeadLetter, anEvent, type FakeProject, startProject } from "../support/fakeProject.ts"

let browser: Browser
let project: FakeProject
let console: Console

beforeAll(async () => {
  if (browserPath !== undefined) browser = await openBrowser()
})
afterAll(() => browser?.close())

beforeEach(async () => {
  project = await startProject()
  console = await startConsole({ ...project, resendUrl: project.apiUrl })
})
afterEach(async () => {
  await console[Symbol.asyncDispose]()
  await project[Symbol.asyncDispose]()
})

const open = (hash = "", options?: BrowserContextOptions) => openPage(browser, console.url + hash, options)

const statusOf = ({ eventId }: EventHistory) => project.state.events.get(eventId)?.status

const minutes = (count: number) => Date.now() - count * 60_000

describe.skipIf(browserPath === undefined)("the pipeline", () => {
  it("shows an event within a second or two, and each step that it reaches", async () => {
    await using tab = await open()
    const { page } = tab
    await page.getByText("No event of pause-status yet").waitFor()
    const event = anEvent({ status: "processing", receipt: null, at: Date.now() - 50 })
    project.add(event)
    const row = page.getByRole("row").filter({ hasText: event.key.slice(0, 8) })
    await row.getByText("now").waitFor()
    const done = anEvent({ eventId: event.eventId, key: event.key, at: Date.parse(event.createdAt) })
    project.add(done)
    await row.getByText("2 people").waitFor()
    assert.deepStrictEqual((await row.getByRole("cell").allInnerTexts()).slice(1), [
      "+2 ms",
      "+9 ms",
      "2 people",
      "+31 ms"
    ])
    assert.deepStrictEqual(tab.complaints, [])
  })

  it("counts what was settled, and what waits for a person", async () => {
    project.add(...Array.from({ length: 130 }, (_, index) => anEvent({ at: minutes(index / 20) })))
    project.add(anEvent({ at: minutes(20) }), aDeadLetter("away", { at: minutes(30) }))
    await using tab = await open()
    await eventually(() => tab.page.locator(".tiles b").allInnerTexts()).toEqual(["0", "1", "130", "31 ms 31 ms"])
    await tab.page.getByRole("link", { name: "Needs a person 1 open" }).click()
    await tab.page.getByText("Every attempt failed").waitFor()
  })

  it("stands still while it is paused", async () => {
    await using tab = await openPage(browser, "about:blank")
    await tab.page.clock.install()
    await tab.page.goto(console.url)
    await tab.page.getByText("No event of pause-status yet").waitFor()
    await tab.page.getByRole("button", { name: "Pause" }).click()
    project.add(anEvent())
    const before = project.asked.length
    await tab.page.clock.runFor(60_000)
    // What was on its way already.
    assert.isAtMost(project.asked.length, before + 3)
    await tab.page.getByRole("button", { name: "Resume" }).click()
    await tab.page.getByText("2 people").waitFor()
  })

  it("shows what people wrote as text, never as HTML", async () => {
    const hostile = `<img src=x onerror="document.title='owned'">`
    project.add(aDeadLetter(hostile, { key: hostile }))
    await using tab = await open("#/letters")
    await tab.page.locator(".error").getByText(hostile).waitFor()
    await tab.page.locator(".row-link").click()
    await tab.page.locator(".panel pre").getByText(hostile).waitFor()
    assert.strictEqual(await tab.page.title(), "Outbox console")
    assert.deepStrictEqual(tab.complaints, [])
  })
})

describe.skipIf(browserPath === undefined)("dead letters", () => {
  const outage = (key?: string) =>
    Array.from({ length: 12 }, (_, index) =>
      aDeadLetter("503 from the orchestrator", { at: minutes(60 - index), ...(key !== undefined && { key }) })
    )

  it("are grouped by reason, and a group is sent again after a dry run that says what will happen", async () => {
    const letters = outage()
    const [oldest] = letters
    project.add(...letters, aDeadLetter("422 unknown mentor", { reason: "refused", status: 422 }))
    project.state.handled.set(oldest?.key ?? "", 7)
    await using tab = await open("#/letters")
    const { page } = tab
    await page.getByText("503 from the orchestrator").waitFor()
    assert.deepStrictEqual(await page.locator(".how-many b").allInnerTexts(), ["12 events", "1 event"])

    await page.getByRole("button", { name: "Redrive 12" }).click()
    const dialog = page.getByRole("dialog")
    await dialog.getByText("Nothing has changed yet").waitFor()
    assert.deepStrictEqual(await dialog.locator(".plan b").allInnerTexts(), ["11", "1"])
    assert.isTrue(letters.every((letter) => statusOf(letter) === "failed"))

    await dialog.getByRole("button", { name: "Redrive 11 events" }).click()
    await dialog.getByText("Done: 11 of 11 events").waitFor()
    assert.deepStrictEqual(
      letters.filter((letter) => statusOf(letter) !== "pending"),
      [oldest]
    )
    await dialog.getByRole("button", { name: "Close" }).click()
    await eventually(() => page.locator(".how-many b").allInnerTexts()).toEqual(["1 event", "1 event"])
    assert.deepStrictEqual(tab.complaints, [])
  })

  it("are all found, also behind hundreds that were resolved later", async () => {
    const resolved = Array.from({ length: 620 }, (_, index) => {
      const letter = aDeadLetter("503 from the orchestrator", { at: minutes(30) + index })
      return {
        ...letter,
        deadLetter: letter.deadLetter && {
          ...letter.deadLetter,
          resolution: "resolved" as const,
          resolvedAt: letter.createdAt
        }
      }
    })
    project.add(aDeadLetter("the oldest", { at: minutes(600) }), ...resolved)
    await using tab = await open("#/letters")
    await tab.page.getByText("the oldest").waitFor()
    assert.deepStrictEqual(await tab.page.locator(".how-many b").allInnerTexts(), ["1 event"])
    assert.strictEqual(await tab.page.getByText("Older ones are not shown").count(), 0)
    assert.deepStrictEqual(tab.complaints, [])
  })

  it("that a newer event superseded are sent only if a person forces it", async () => {
    const [letter = aDeadLetter("")] = outage()
    project.add(letter)
    project.state.handled.set(letter.key, 7)
    await using tab = await open(`#/letters?event=${letter.eventId}`)
    await tab.page.locator(".panel").getByRole("button", { name: "Redrive" }).click()
    const dialog = tab.page.getByRole("dialog")
    await dialog.getByText("A newer event of the key was handled").waitFor()
    assert.isTrue(await dialog.getByRole("button", { name: "Redrive 0 events" }).isDisabled())
    await dialog.getByLabel("Send superseded events as well").check()
    await dialog.getByRole("button", { name: "Redrive 1 event" }).click()
    await dialog.getByText("Done: 1 of 1 event").waitFor()
    assert.strictEqual(statusOf(letter), "pending")
  })

  it("of one key are sent one by one, the oldest first", async () => {
    const letters = outage("42")
    project.add(...letters)
    await using tab = await open("#/letters")
    await tab.page.getByRole("button", { name: "Redrive 12" }).click()
    await tab.page.getByRole("button", { name: "Redrive 12 events" }).click()
    await tab.page.getByText("Done: 12 of 12 events").waitFor()
    const changed = project.asked.filter((line) => line.startsWith("PUT")).map((line) => line.split("/").at(-1))
    const wanted = letters.map(({ eventId }) => eventId)
    assert.deepStrictEqual(changed, [...wanted, ...wanted])
  })

  it("are selected one by one, and resolved with notes", async () => {
    const letters = outage()
    project.add(...letters)
    await using tab = await open("#/letters")
    const { page } = tab
    await page.getByRole("checkbox").nth(1).check()
    await page.getByRole("checkbox").nth(2).check()
    await page.getByText("2 selected").waitFor()
    await page.getByRole("button", { name: "Resolve 2" }).click()
    await page.getByLabel("Notes").fill("Phoned both of them")
    await page.getByRole("button", { name: "Resolve 2 events" }).click()
    await page.getByText("Done: 2 of 2 events").waitFor()
    const notes = letters.map(({ eventId }) => project.state.events.get(eventId)?.deadLetter?.notes ?? null)
    assert.deepStrictEqual(
      notes.filter((note) => note !== null),
      ["Phoned both of them", "Phoned both of them"]
    )
    await page.getByRole("button", { name: "Close" }).click()
    await page.getByText("10 events").waitFor()
  })

  it("that were not sent yet stay as they are when the person stops", async () => {
    const letters = outage()
    project.add(...letters)
    await using tab = await open("#/letters")
    await tab.page.getByRole("button", { name: "Redrive 12" }).click()
    await tab.page.getByText("Nothing has changed yet").waitFor()
    let changes = 0
    let release = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    project.instead.answer = async ({ method }) => {
      if (method === "PUT" && ++changes > 4) await held
      return undefined
    }
    await tab.page.getByRole("button", { name: "Redrive 12 events" }).click()
    await tab.page.getByText("4 of 12").waitFor()
    await tab.page.getByRole("button", { name: "Stop" }).click()
    release()
    await tab.page.getByText(/^Done: 8 of 12 events$/).waitFor()
    assert.lengthOf(
      letters.filter((letter) => statusOf(letter) === "pending"),
      8
    )
  })

  it("include events that reached nobody, until a person acknowledges them", async () => {
    const nobody = anEvent({ reachedNobody: true, receipt: { notified: 0 } })
    project.add(nobody, anEvent())
    await using tab = await open("#/letters")
    await tab.page.getByText("Nobody was notified").waitFor()
    await tab.page.getByRole("button", { name: "Resolve" }).click()
    await tab.page.getByRole("button", { name: "Resolve 1 event" }).click()
    await tab.page.getByRole("button", { name: "Close" }).click()
    await tab.page.getByText("Nothing needs you").waitFor()
    assert.strictEqual(project.state.events.get(nobody.eventId)?.receipt?.["acknowledged"], true)
  })

  it("cannot be changed with --read-only", async () => {
    project.add(aDeadLetter("away"))
    await using tab = await openPage(browser, "about:blank")
    await tab.page.route("**/config.json", async (route) => {
      const config = await (await route.fetch()).json()
      await route.fulfill({ json: { ...config, readOnly: true } })
    })
    await tab.page.goto(`${console.url}#/letters`)
    await tab.page.getByText("read only").waitFor()
    await tab.page.getByText("Every attempt failed").waitFor()
    assert.strictEqual(await tab.page.getByRole("button", { name: "Redrive" }).count(), 0)
  })
})

describe.skipIf(browserPath === undefined)("events", () => {
  it("are found by key, and a key has its timeline with every attempt", async () => {
    const letter = aDeadLetter("503 from the orchestrator", { attempts: 3, key: "mentor-42" })
    project.add(letter, anEvent({ key: "mentor-42", at: minutes(1), version: Version.make(2) }), anEvent())
    await using tab = await open()
    await tab.page.getByRole("searchbox").fill("mentor-42")
    await tab.page.keyboard.press("Enter")
    await tab.page.getByRole("heading", { name: "mentor-42" }).waitFor()
    await tab.page.getByText("Attempt 3, sent by sweep").waitFor()
    assert.strictEqual(await tab.page.locator(".timeline > li").count(), 2)
  })

  it("are found by event id, with every detail and a command to copy that has no key", async () => {
    const event = anEvent()
    project.add(event)
    await using tab = await open()
    await tab.page.getByRole("searchbox").fill(event.eventId)
    await tab.page.keyboard.press("Enter")
    const panel = tab.page.getByRole("complementary", { name: "Event" })
    await panel.getByText("notificationIds").waitFor()
    await panel.getByRole("button", { name: "Copy as curl" }).click()
    await panel.getByText("Copied").waitFor()
    const command = await tab.page.evaluate(() => navigator.clipboard.readText())
    assert.match(
      command,
      /^curl -H "apikey: \$SUPABASE_SECRET_KEY" 'http.*\/api\/v1\/webhooks\/pause-status\/[\da-f-]{36}'$/
    )
    assert.notInclude(command, project.serviceKey)
  })

  it("are filtered by state and topic, and paged without gaps", async () => {
    project.add(...Array.from({ length: 60 }, (_, index) => anEvent({ at: minutes(index + 1) })))
    project.add(anEvent({ status: "pending", receipt: null }), anEvent({ topic: "order-created", key: "order-1" }))
    await using tab = await open("#/events")
    const rows = tab.page.locator("tbody tr")
    await eventually(() => rows.count()).toBe(50)
    await tab.page.getByRole("button", { name: "Load older events" }).click()
    await eventually(() => rows.count()).toBe(61)
    await tab.page.getByLabel("Any state").selectOption("pending")
    await eventually(() => rows.count()).toBe(1)
    await tab.page.getByLabel("Topic").selectOption("order-created")
    await tab.page.getByText("No event matches").waitFor()
    await tab.page.getByLabel("Any state").selectOption("")
    await tab.page.getByText("order-1").waitFor()
    await tab.page.reload()
    await tab.page.getByText("order-1").waitFor()
  })

  it("can be cancelled while they wait", async () => {
    const event = anEvent({ status: "pending", receipt: null })
    project.add(event)
    await using tab = await open("#/events?status=pending")
    await tab.page.getByRole("checkbox").nth(1).check()
    await tab.page.getByRole("button", { name: "Cancel" }).click()
    await tab.page.getByText("Will be cancelled and never sent").waitFor()
    await tab.page.getByRole("button", { name: "Cancel 1 event" }).click()
    await tab.page.getByText("Done: 1 of 1 event").waitFor()
    assert.strictEqual(project.state.events.get(event.eventId)?.deadLetter?.reason, "cancelled")
  })
})
