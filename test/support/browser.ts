import axe, { type AxeResults } from "axe-core"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { patienceMillis } from "./patience.ts"

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]

const found = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find(existsSync)

/** Where Chromium is, if it is anywhere. */
export const browserPath: string | undefined = process.env["CHROMIUM"] ?? found

if (browserPath === undefined)
  console.warn("Skipped: no Chromium on the PATH. Install it (apt-get install chromium), or name it in CHROMIUM.")

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    ...(browserPath !== undefined && { executablePath: browserPath }),
    // Chromium does not run as root inside its sandbox.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : []
  })

/** A page, and what it complained of: errors of the script, and what its policy refused to load. */
export const openPage = async (browser: Browser, url: string, options: BrowserContextOptions = {}) => {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options
  })
  context.setDefaultTimeout(patienceMillis)
  const page = await context.newPage()
  const complaints: Array<string> = []
  page.on("pageerror", ({ message }) => complaints.push(message))
  page.on("console", (message) => {
    // The browser notes each answer that is no success, which a test may be about.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text())
  })
  await page.goto(url)
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() }
}

/** What axe has against the page as it is, a line for each element. */
export const accessibilityProblems = async (page: Page): Promise<ReadonlyArray<string>> => {
  // What still fades in has a contrast of its own.
  await page.evaluate(() => {
    const isFinite = ({ effect }: Animation) => effect?.getComputedTiming().endTime !== Infinity
    return Promise.all(
      document
        .getAnimations()
        .filter(isFinite)
        .map(({ finished }) => finished.catch(() => {}))
    )
  })
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<AxeResults>("axe.run()")
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}
