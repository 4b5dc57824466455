import { useSignal } from "@preact/signals"
import type { Action } from "../model/act.ts"
import { actionsFor } from "../model/act.ts"
import { readLetters } from "../model/letters.ts"
import { changes, config, health, historyOf, topic } from "../model/live.ts"
import { type Group, groupsOf, reasonInWords } from "../model/reasons.ts"
import { ask } from "../model/dialog.ts"
import type { Event } from "../model/types.ts"
import { plural } from "../model/words.ts"
import { EventTable } from "./EventTable.tsx"
import { Ago } from "./details.tsx"
import { Empty, Icon, Loading } from "./parts.tsx"
import { Problem } from "./Problem.tsx"
import { useLoad } from "./useLoad.ts"

const NAMES: Readonly<Record<Action, string>> = { redrive: "Redrive", resolve: "Resolve", cancel: "Cancel" }

/** One button for each action that all of these events allow. */
export const Actions = ({
  events,
  isMain = true
}: {
  readonly events: ReadonlyArray<Event>
  readonly isMain?: boolean
}) => {
  if (config.value?.readOnly !== false) return null
  const possible = (["redrive", "resolve", "cancel"] as const).filter((action) =>
    events.some((event) => actionsFor(event).includes(action))
  )
  if (possible.length === 0) return null
  return (
    <span class="actions">
      {possible.map((action) => (
        <button
          type="button"
          key={action}
          class={isMain && action === "redrive" ? "primary" : ""}
          onClick={() =>
            ask(
              action,
              events.filter((event) => actionsFor(event).includes(action))
            )
          }
        >
          {NAMES[action]}
          {events.length > 1 && ` ${events.length.toLocaleString("en")}`}
        </button>
      ))}
    </span>
  )
}

const Letter = ({ group, isFirst }: { readonly group: Group; readonly isFirst: boolean }) => {
  const chosen = useSignal<ReadonlySet<string>>(new Set())
  const { error, events, httpStatus, reason } = group
  const picked = events.filter(({ eventId }) => chosen.value.has(eventId))
  const keys = new Set(events.map(({ key }) => key)).size
  return (
    <details class="card group" open={isFirst}>
      <summary>
        <Icon name="next" />
        <span class="what">
          <span class="reason">
            {reasonInWords(reason)}
            {httpStatus !== null && <code>HTTP {httpStatus}</code>}
          </span>
          <span class="mono error">{error}</span>
        </span>
        <span class="how-many">
          <b>{plural(events.length, "event")}</b>
          <small>
            {plural(keys, "key")}, {events[0] && <Ago time={events[0].createdAt} />}
          </small>
        </span>
      </summary>
      <div class="bar">
        <span>{picked.length === 0 ? "The whole group" : `${picked.length} selected`}</span>
        <Actions events={picked.length === 0 ? events : picked} />
      </div>
      <EventTable label="The events of this group" events={events} chosen={chosen} isFailed />
    </details>
  )
}

export const Letters = () => {
  const name = topic.value
  const queue = health.value?.queue
  const { data, problem } = useLoad(
    () => readLetters(name),
    [name, changes.value, queue?.deadLettersOpen, queue?.withoutRecipients]
  )
  const groups = groupsOf(data.value?.events ?? [], historyOf)
  return (
    <>
      <header class="head">
        <div>
          <h1>Needs a person</h1>
          <p>Events that will not be retried, and completed events that reached nobody.</p>
        </div>
        {groups.length > 1 && <Actions isMain={false} events={data.value?.events ?? []} />}
      </header>
      {problem.value && <Problem of={problem.value} />}
      {data.value === undefined
        ? problem.value === undefined && <Loading />
        : groups.length === 0 && (
            <div class="card">
              <Empty title="Nothing needs you">Dead letters of {name} appear here, grouped by reason.</Empty>
            </div>
          )}
      {groups.map((group, place) => (
        <Letter key={group.id} group={group} isFirst={place === 0} />
      ))}
      {data.value?.isCut && <p class="foot">Older ones are not shown. Settle some of these first.</p>}
    </>
  )
}
