import { signal } from "@preact/signals"
import type { Action } from "./act.ts"
import type { Event } from "./types.ts"

/** What a person is about to do, while the dialog is open. */
export const asked = signal<{ readonly action: Action; readonly events: ReadonlyArray<Event> } | undefined>(undefined)

export const ask = (action: Action, events: ReadonlyArray<Event>): void => void (asked.value = { action, events })

export const isHelpOpen = signal(false)
