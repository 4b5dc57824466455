import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { get } from "node:http"
import type { Browser, Page } from "playwright-core"
import { browserPath, openBrowser, openPage } from "../support/browser.ts"
import { createMentor, type Database, openDatabase, setStatus } from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"

const stack = sharedStack()

let database: Database
let browser: Browser

beforeAll(async () => {
  database = openDatabase(stack.databaseUrl)
  if (browserPath !== undefined) browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
  await database?.[Symbol.asyncDispose]()
})

// The stack is shared by all tests, so the newest events may be other ones'.
const search = async (page: Page, key: string) => {
  await page.getByRole("searchbox").fill(key)
  await page.keyboard.press("Enter")
  await page.getByRole("heading", { name: key }).waitFor()
}

describe("the stack's first page", () => {
  const openedAs = (host: string) =>
    new Promise<string>((resolve) => {
      // fetch() would write the name itself.
      get(`${stack.apiUrl}/`, { headers: { host } }, ({ headers, statusCode }) =>
        resolve(`${statusCode} ${headers.location ?? ""}`)
      )
    })

  it("leads to the same console each time", async () => {
    const { host, port } = new URL(stack.apiUrl)
    const first = await openedAs(host)
    assert.match(first, /^302 http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/)
    assert.strictEqual(await openedAs(`localhost:${port}`), first)
  })

  it("does not lead there under a foreign name of this machine", async () => {
    assert.strictEqual(await openedAs(`evil.example:${new URL(stack.apiUrl).port}`), "404 ")
  })
})

describe.skipIf(browserPath === undefined)("the console of a running stack", () => {
  it("shows a pause until it is notified, and how long it took", async () => {
    const mentorId = await createMentor(database, "active", 2)
    await setStatus(database, mentorId, "paused")
    await using tab = await openPage(browser, `${stack.apiUrl}/`)
    await search(tab.page, mentorId)
    await tab.page.getByText(/^2 people notified\. Settled after \d/).waitFor()
    await tab.page.locator(".timeline a").click()
    const panel = tab.page.getByRole("complementary", { name: "Event" })
    await panel.getByText("2 people").waitFor()
    assert.match(await panel.locator(".steps li").last().innerText(), /^Settled\s+\+\d/)
    assert.deepStrictEqual(tab.complaints, [])
  })

  it("sends an event that reached nobody again, once there is somebody", async () => {
    const mentorId = await createMentor(database, "active", 0)
    await setStatus(database, mentorId, "paused")
    await using tab = await openPage(browser, `${stack.apiUrl}/`)
    await search(tab.page, mentorId)
    await tab.page.getByText("reached nobody").waitFor()
    await database.rows(
      `with coordinator as (insert into public.coordinators (name) values ('Ada') returning id)
      insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from coordinator`,
      [mentorId]
    )
    await tab.page.locator(".timeline a").click()
    await tab.page.getByRole("button", { name: "Redrive" }).click()
    await tab.page.getByRole("button", { name: "Redrive 1 event" }).click()
    await tab.page.getByText("Done: 1 of 1 event").waitFor()
    await tab.page.getByRole("dialog").getByRole("button", { name: "Close" }).click()
    await tab.page.getByText(/^1 person notified\./).waitFor()
  })
})
