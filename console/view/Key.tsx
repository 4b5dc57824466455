import { getEvent, listEvents } from "../model/api.ts"
import { changes, recent, topic } from "../model/live.ts"
import { here, route, to } from "../model/route.ts"
import type { History } from "../model/types.ts"
import { changeOf, duration, millisBetween, notifiedOf, plural, stateOf } from "../model/words.ts"
import { Attempts } from "./EventPanel.tsx"
import { At, Copy } from "./details.tsx"
import { Change, Empty, Loading, State } from "./parts.tsx"
import { Problem } from "./Problem.tsx"
import { useLoad } from "./useLoad.ts"

const SHOWN = 20

const summaryOf = (history: History): string => {
  const { attemptCount, completedAt, createdAt } = history
  const attempts = plural(attemptCount, "attempt")
  if (completedAt === null) return stateOf(history) === "dead letter" ? `${attempts}.` : `${attempts} so far.`
  const people = notifiedOf(history)
  const counted = people === 0 ? "Nobody was" : plural(people ?? 0, "person", "people")
  const notified = people === undefined ? "" : `${counted} notified. `
  return `${notified}Settled after ${duration(millisBetween(createdAt, completedAt))}, with ${attempts}.`
}

/** What happened to one key, the newest first, with each event's attempts. */
export const Key = () => {
  const key = route.value.params.get("key") ?? ""
  const name = topic.value
  const newest = recent.value
    ?.filter((event) => event.key === key)
    .map(({ attemptCount, eventId, status }) => [eventId, status, attemptCount])
    .join()
  const { data, problem } = useLoad(async () => {
    const { events, nextCursor } = await listEvents(name, { key, limit: String(SHOWN) })
    return { key, histories: await Promise.all(events.map(({ eventId }) => getEvent(name, eventId))), nextCursor }
  }, [name, key, changes.value, newest])
  const found = data.value?.key === key ? data.value : undefined
  return (
    <>
      <header class="head">
        <div>
          <h1 class="mono">{key}</h1>
          <p>One key of {name}: its events in their order, and every attempt at them.</p>
        </div>
        <Copy label="Copy key" text={key} />
      </header>
      {problem.value && <Problem of={problem.value} />}
      {found === undefined ? (
        problem.value === undefined && <Loading />
      ) : found.histories.length === 0 ? (
        <div class="card">
          <Empty title="No event has this id or key">It may belong to another topic, or have been erased.</Empty>
        </div>
      ) : (
        <ol class="timeline">
          {found.histories.map((history) => (
            <li key={history.eventId} class={stateOf(history).replace(" ", "-")}>
              <div class="card">
                <a class="line" href={here({ event: history.eventId })}>
                  <Change of={changeOf(history)} />
                  <State of={history.deadLetter?.resolution === "resolved" ? "resolved" : stateOf(history)} />
                  <span class="spring" />
                  {history.version !== null && <small>version {history.version}</small>}
                  <At time={history.createdAt} />
                </a>
                <p>{summaryOf(history)}</p>
                {history.attempts.some(({ outcome }) => outcome !== "completed") && <Attempts of={history.attempts} />}
              </div>
            </li>
          ))}
        </ol>
      )}
      {found?.nextCursor != null && (
        <p class="foot">
          <a href={to("events", { key })}>See the older ones in the list</a>
        </p>
      )}
    </>
  )
}
