import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import type { Browser, BrowserContextOptions } from "playwright-core"
import { type Console, startConsole } from "../../local/console.ts"
import { accessibilityProblems, browserPath, openBrowser, openPage } from "../support/browser.ts"
import { aDeadLetter, anEvent, type FakeProject, startProject } from "../support/fakeProject.ts"

let browser: Browser
let project: FakeProject
let console: Console

beforeAll(async () => {
  if (browserPath !== undefined) browser = await openBrowser()
  project = await startProject()
  console = await startConsole({ ...project, resendUrl: project.apiUrl })
})
afterAll(async () => {
  await browser?.close()
  await console[Symbol.asyncDispose]()
  await project[Symbol.asyncDispose]()
})

const mail = {
  id: "1",
  createdAt: Date.now(),
  from: "a@example.com",
  to: ["ada@example.com"],
  subject: "Paused",
  html: "<b>!</b>"
}

const letter = aDeadLetter("503 from the orchestrator", { attempts: 2 })

beforeEach(() => {
  project.state.events.clear()
  project.add(letter, aDeadLetter("other"), anEvent(), anEvent({ status: "pending", receipt: null }))
  project.instead.answer = ({ url }) =>
    url.endsWith("/mails.json")
      ? Response.json([mail])
      : url.endsWith("/mails/1.html")
        ? new Response("<title>Paused</title><html lang=en><main><h1>Paused</h1></main>", {
            headers: { "content-type": "text/html" }
          })
        : undefined
})

const open = (hash = "", options?: BrowserContextOptions) => openPage(browser, console.url + hash, options)

const views: ReadonlyArray<readonly [string, string, string]> = [
  ["the pipeline", "#/live", "tbody tr"],
  ["dead letters", "#/letters", ".group tbody tr"],
  ["an event", `#/letters?event=${letter.eventId}`, ".panel .attempts"],
  ["events", "#/events", "tbody tr"],
  ["a key", `#/key?key=${letter.key}`, ".timeline"],
  ["health", "#/health", ".list"],
  ["mails", "#/mails", "iframe"]
]

describe.skipIf(browserPath === undefined)("axe finds nothing", () => {
  for (const colorScheme of ["light", "dark"] as const)
    it.each(views)(`wrong with %s, ${colorScheme}`, async (_, hash, selector) => {
      await using tab = await open(hash, { colorScheme })
      await tab.page.locator(selector).first().waitFor()
      assert.deepStrictEqual(await accessibilityProblems(tab.page), [])
      assert.deepStrictEqual(tab.complaints, [])
    })

  it("wrong with the dialogs, with nothing to show, and with a project that does not answer", async () => {
    await using tab = await open(`#/letters?event=${letter.eventId}`)
    const { page } = tab
    await page.locator(".panel .primary").click()
    await page.getByText("Nothing has changed yet").waitFor()
    assert.deepStrictEqual(await accessibilityProblems(page), [])
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor()
    assert.deepStrictEqual(await accessibilityProblems(page), [])
    await page.keyboard.press("Escape")

    project.state.events.clear()
    await page.goto(`${console.url}#/letters`)
    await page.getByText("Nothing needs you").waitFor()
    assert.deepStrictEqual(await accessibilityProblems(page), [])

    project.instead.answer = () => Response.json({ code: "unauthorized", detail: "No such key" }, { status: 401 })
    await page.getByRole("alert").getByText("The key is not one of the project's secret keys").waitFor()
    assert.deepStrictEqual(await accessibilityProblems(page), [])
  })
})

describe.skipIf(browserPath === undefined)("a project that does not answer", () => {
  it("is reported with what to do, until it answers again", async () => {
    project.instead.answer = () =>
      Response.json({ code: "store_unavailable", detail: "The database is away" }, { status: 503 })
    await using tab = await open()
    const alert = tab.page.getByRole("alert")
    await alert.getByText("The database is away").waitFor()
    await tab.page.getByText("No answer").waitFor()
    delete project.instead.answer
    await tab.page.locator("tbody tr").first().waitFor()
    await alert.waitFor({ state: "detached" })
  })

  it("shows that it is loading until it answers", async () => {
    let answer = () => {}
    const answered = new Promise<undefined>((resolve) => (answer = () => resolve(undefined)))
    project.instead.answer = () => answered
    await using tab = await open()
    await tab.page.getByRole("status", { name: "Loading" }).waitFor()
    answer()
    await tab.page.locator("tbody tr").first().waitFor()
  })

  it("opens the failing checks, with the function's details", async () => {
    project.instead.answer = async ({ url }) => {
      if (!url.endsWith("/health")) return undefined
      const ok = { ok: true }
      const checks = {
        database: ok,
        orchestrator: { ok: false, detail: "it did not answer" },
        secrets: ok,
        oldestUnnotified: ok,
        capture: ok,
        jobs: ok
      }
      return Response.json({ status: "not_ready", live: true, checks, queue: null }, { status: 503 })
    }
    await using tab = await open()
    await tab.page.getByText("1 check failing").waitFor()
    await tab.page.getByRole("button", { name: "See the checks" }).click()
    await tab.page.getByRole("heading", { name: "Something is wrong" }).waitFor()
    await tab.page.getByText("it did not answer").waitFor()
  })
})

describe.skipIf(browserPath === undefined)("with the keyboard alone", () => {
  it("you can walk through rows, open and close them, and the focus comes back", async () => {
    await using tab = await open()
    const { page } = tab
    await page.locator("tbody tr").first().waitFor()
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("href"))
    await page.keyboard.press("j")
    const first = await focused()
    await page.keyboard.press("j")
    const second = await focused()
    assert.notStrictEqual(first, second)
    await page.keyboard.press("k")
    assert.strictEqual(await focused(), first)
    await page.keyboard.press("Enter")
    const panel = page.getByRole("complementary", { name: "Event" })
    await panel.getByText("Identity").waitFor()
    assert.strictEqual(await page.evaluate(() => document.activeElement?.className), "panel")
    await page.keyboard.press("Escape")
    await panel.waitFor({ state: "detached" })
    assert.strictEqual(await focused(), first)
  })

  it("you can reach, select and redrive dead letters", async () => {
    await using tab = await open()
    const { page } = tab
    await page.locator("tbody tr").first().waitFor()
    await page.keyboard.press("g")
    await page.keyboard.press("n")
    await page.locator(".group tbody tr").first().waitFor()
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await page.getByText("1 selected").waitFor()
    await page.keyboard.press("r")
    await page.getByText("Nothing has changed yet").waitFor()
    const button = page.getByRole("button", { name: "Redrive 1 event" })
    while (!(await button.evaluate((element) => element === document.activeElement))) await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.getByText("Done: 1 of 1 event").waitFor()
  })

  it("a slash opens the search, where letters are not shortcuts", async () => {
    await using tab = await open()
    await tab.page.locator("tbody tr").first().waitFor()
    await tab.page.keyboard.press("/")
    await tab.page.keyboard.type("gnjxp")
    assert.strictEqual(await tab.page.getByRole("searchbox").inputValue(), "gnjxp")
    await tab.page.getByRole("button", { name: "Pause" }).waitFor()
  })
})

describe.skipIf(browserPath === undefined)("in a narrow window", () => {
  it.each(views)("%s does not scroll sideways", async (_, hash, selector) => {
    await using tab = await open(hash, { viewport: { width: 360, height: 740 } })
    await tab.page.locator(selector).first().waitFor()
    const width = await tab.page.evaluate(() => document.documentElement.scrollWidth)
    assert.isAtMost(width, 360)
  })
})
