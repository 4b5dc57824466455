import { computed, signal } from "@preact/signals"

const VIEWS = ["live", "letters", "events", "key", "health", "mails"] as const
export type View = (typeof VIEWS)[number]

const read = () => {
  const [name = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?")
  const view = VIEWS.find((known) => known === name) ?? "live"
  return { view, params: new URLSearchParams(query) }
}

/** The page's place. It is in the fragment, so that reload, back and bookmarks work. */
export const route = signal(read())
addEventListener("hashchange", () => (route.value = read()))

const current = () => Object.fromEntries(route.value.params)

/** The address of a view, with the current topic. */
export const to = (view: View, params: Readonly<Record<string, string>> = {}): string => {
  const { topic } = current()
  const given = Object.entries({ ...(topic !== undefined && { topic }), ...params })
  const query = new URLSearchParams(given.filter(([, value]) => value !== ""))
  return `#/${view}${query.size > 0 ? `?${query}` : ""}`
}

export const go = (view: View, params?: Readonly<Record<string, string>>): void =>
  void (location.hash = to(view, params))

/** The address of this view with other parameters. Empty ones are removed. */
export const here = (params: Readonly<Record<string, string>>): string =>
  to(route.value.view, { ...current(), ...params })

export const adjust = (params: Readonly<Record<string, string>>): void => void (location.hash = here(params))

export const eventId = computed(() => route.value.params.get("event") ?? "")
