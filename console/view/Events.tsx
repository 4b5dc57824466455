import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { type Filters, listEvents } from "../model/api.ts"
import { curl } from "../model/curl.ts"
import { changes, config, recent, topic } from "../model/live.ts"
import { adjust, route } from "../model/route.ts"
import type { Event } from "../model/types.ts"
import { Actions } from "./Letters.tsx"
import { EventTable } from "./EventTable.tsx"
import { Copy } from "./details.tsx"
import { Empty, Loading } from "./parts.tsx"
import { Problem } from "./Problem.tsx"
import { useLoad } from "./useLoad.ts"

const STATES = ["pending", "processing", "completed", "failed"]

const filtersOf = (params: URLSearchParams): Filters =>
  Object.fromEntries(
    ["status", "key", "transition"].flatMap((name) => (params.get(name) ? [[name, params.get(name)]] : []))
  )

const Choice = ({
  label,
  name,
  of
}: {
  readonly label: string
  readonly name: string
  readonly of: ReadonlyArray<string>
}) => (
  <label>
    <span class="unseen">{label}</span>
    <select
      value={route.value.params.get(name) ?? ""}
      onChange={({ currentTarget }) => adjust({ [name]: currentTarget.value })}
    >
      <option value="">{label}</option>
      {of.map((word) => (
        <option key={word}>{word}</option>
      ))}
    </select>
  </label>
)

export const Events = () => {
  const name = topic.value
  const filters = filtersOf(route.value.params)
  const asked = JSON.stringify([name, filters])
  const newest = recent.value?.map(({ attemptCount, eventId, status }) => [eventId, status, attemptCount]).join()
  const { data, problem } = useLoad(
    async () => ({ asked, ...(await listEvents(name, filters)) }),
    [asked, changes.value, newest]
  )
  const more = useSignal<{ readonly events: ReadonlyArray<Event>; readonly cursor: string | null } | undefined>(
    undefined
  )
  const chosen = useSignal<ReadonlySet<string>>(new Set())
  useEffect(() => {
    more.value = undefined
    chosen.value = new Set()
  }, [asked])

  const page = data.value?.asked === asked ? data.value : undefined
  // New events push others out of the first page. These must not disappear.
  const events = [
    ...new Map([...(more.value?.events ?? []), ...(page?.events ?? [])].map((event) => [event.eventId, event])).values()
  ].toSorted((one, other) => (one.createdAt < other.createdAt ? 1 : -1))
  const cursor = more.value === undefined ? page?.nextCursor : more.value.cursor
  const load = async () => {
    if (typeof cursor !== "string") return
    const next = await listEvents(name, { ...filters, cursor })
    more.value = { events: [...events, ...next.events], cursor: next.nextCursor }
  }
  const picked = events.filter(({ eventId }) => chosen.value.has(eventId))
  const query = new URLSearchParams({ ...filters }).toString()
  return (
    <>
      <header class="head">
        <div>
          <h1>Events</h1>
          <p>Every change of {name} that the outbox keeps, newest first.</p>
        </div>
      </header>
      <div class="card">
        <div class="bar filters">
          <Choice label="Any state" name="status" of={STATES} />
          {name === "pause-status" && <Choice label="Any change" name="transition" of={["PAUSE", "RESUME"]} />}
          <label>
            <span class="unseen">Key</span>
            <input
              type="search"
              placeholder="Key"
              value={filters.key ?? ""}
              onChange={({ currentTarget }) => adjust({ key: currentTarget.value.trim() })}
            />
          </label>
          <span class="spring" />
          {picked.length > 0 && <span>{picked.length} selected</span>}
          <Actions events={picked} />
          <Copy label="Copy as curl" text={curl(config.value?.url ?? "", `${name}${query && `?${query}`}`)} />
        </div>
        {problem.value && <Problem of={problem.value} />}
        {page === undefined ? (
          problem.value === undefined && <Loading rows={10} />
        ) : events.length === 0 ? (
          <Empty title="No event matches">Remove a filter, or search for another key.</Empty>
        ) : (
          <EventTable label="Events" events={events} chosen={chosen} />
        )}
        {typeof cursor === "string" && (
          <div class="foot">
            <button type="button" onClick={load}>
              Load older events
            </button>
          </div>
        )}
      </div>
    </>
  )
}
