import { asked, isHelpOpen } from "./dialog.ts"
import { isPaused } from "./live.ts"
import { adjust, eventId, go, type View } from "./route.ts"

export const SHORTCUTS = [
  { keys: "/", what: "Search" },
  { keys: "j", what: "Next row" },
  { keys: "k", what: "Previous row" },
  { keys: "x", what: "Select the row" },
  { keys: "Esc", what: "Close the event" },
  { keys: "r", what: "Redrive the shown or selected events" },
  { keys: "p", what: "Pause and resume reading" },
  { keys: "g l", what: "Go to Live" },
  { keys: "g n", what: "Go to Needs a person" },
  { keys: "g e", what: "Go to Events" },
  { keys: "g h", what: "Go to Health" },
  { keys: "?", what: "This list" }
] as const

const PLACES: Readonly<Record<string, View>> = { l: "live", n: "letters", e: "events", h: "health", m: "mails" }

const rows = () =>
  [...document.querySelectorAll<HTMLAnchorElement>("main .row-link")].filter((row) => row.checkVisibility())

const current = () =>
  rows().findIndex((row) => row.closest("tr")?.ariaSelected === "true" || row === document.activeElement)

const move = (by: number) => {
  const row = rows()[Math.max(0, current() + by)]
  row?.focus()
  // If an event is open, the next one opens in its place.
  if (eventId.value !== "") row?.click()
}

const press = (selector: string) => document.querySelector<HTMLElement>(selector)?.click()

let isGoing = false

const close = () => {
  const id = eventId.value
  adjust({ event: "" })
  document.querySelector<HTMLElement>(`main a[href*="${id}"]`)?.focus()
}

const KEYS: Readonly<Record<string, () => void>> = {
  "/": () => document.getElementById("search")?.focus(),
  "?": () => (isHelpOpen.value = true),
  j: () => move(1),
  k: () => move(-1),
  x: () => rows()[current()]?.closest("tr")?.querySelector("input")?.click(),
  r: () => press(".panel .primary, main details[open] .primary, main .filters .primary"),
  p: () => (isPaused.value = !isPaused.value),
  Escape: () => (eventId.value === "" ? undefined : close())
}

const isTyping = ({ target }: KeyboardEvent) =>
  target instanceof HTMLElement && target.matches("input[type=search], textarea, select")

export const listen = (): void =>
  addEventListener("keydown", (pressed) => {
    const { altKey, ctrlKey, key, metaKey } = pressed
    if (altKey || ctrlKey || metaKey || asked.value !== undefined || isHelpOpen.value) return
    if (isTyping(pressed)) {
      if (key === "Escape" && pressed.target instanceof HTMLElement) pressed.target.blur()
      return
    }
    const place = isGoing ? PLACES[key] : undefined
    isGoing = key === "g"
    if (place !== undefined) go(place)
    else if (KEYS[key] === undefined) return
    else KEYS[key]()
    pressed.preventDefault()
  })
