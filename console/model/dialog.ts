import { signal } from "@preact/signals"
import type { Action } from "./act.ts"
import type { Event } from "./types.ts"

/** The action that the open dialog is about. */
export const asked = signal<{ readonly action: Action; readonly events: ReadonlyArray<Event> } | undefined>(undefined)

export const ask = (action: Action, events: ReadonlyArray<Event>): void => void (asked.value = { action, events })

export const isHelpOpen = signal(false)
