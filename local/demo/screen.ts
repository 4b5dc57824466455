import { styleText } from "node:util"

const WIDEST = 80
const NARROWEST = 40

/** The maximum width of a line: the terminal's, up to 80 columns. A file gets 80. */
export const screenWidth = (): number => Math.max(NARROWEST, Math.min(process.stdout.columns ?? WIDEST, WIDEST))

// styleText itself checks for a terminal and for NO_COLOR.
export const bold = (text: string): string => styleText("bold", text)
export const dim = (text: string): string => styleText("dim", text)
export const green = (text: string): string => styleText("green", text)
export const red = (text: string): string => styleText("red", text)
export const cyan = (text: string): string => styleText("cyan", text)

/** Whether a line can be erased. */
export const isTerminal = process.stdout.isTTY === true && process.env["TERM"] !== "dumb"

const ERASE_LINE = "\r\u001B[2K"
let isStatusShown = false

/** Erases the status, so that something else can be written. */
export const clearStatus = (): void => {
  if (isStatusShown) process.stdout.write(ERASE_LINE)
  isStatusShown = false
}

export const print = (text = ""): void => {
  clearStatus()
  process.stdout.write(`${text}\n`)
}

/** Shows the current work, only on a terminal, until something else is written. */
export const showStatus = (text: string): void => {
  if (!isTerminal) return
  clearStatus()
  const line = text.slice(0, screenWidth() - 1)
  process.stdout.write(dim(line))
  isStatusShown = true
}

export const indent = (text: string, by = 2): string => text.replace(/^(?=.)/gm, " ".repeat(by))
