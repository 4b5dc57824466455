import { styleText } from "node:util"

/** As wide as a terminal can be expected to be. */
export const WIDTH = 100

// styleText itself looks whether stdout is a terminal, and at NO_COLOR.
export const bold = (text: string): string => styleText("bold", text)
export const dim = (text: string): string => styleText("dim", text)
export const green = (text: string): string => styleText("green", text)
export const red = (text: string): string => styleText("red", text)
export const cyan = (text: string): string => styleText("cyan", text)

export const print = (text = ""): void => void process.stdout.write(`${text}\n`)

export const indent = (text: string, by = 2): string => text.replace(/^(?=.)/gm, " ".repeat(by))
