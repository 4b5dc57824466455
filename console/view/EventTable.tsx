import type { Signal } from "@preact/signals"
import { adjust, eventId, here } from "../model/route.ts"
import type { Event } from "../model/types.ts"
import { changeOf, duration, millisBetween, short, stateOf } from "../model/words.ts"
import { At } from "./details.tsx"
import { Change, State } from "./parts.tsx"

interface Props {
  readonly label: string
  readonly events: ReadonlyArray<Event>
  /** The ids of the selected rows. Without it, rows have no checkbox. */
  readonly chosen?: Signal<ReadonlySet<string>>
  /** All of them failed for one reason, so no state is shown. */
  readonly isFailed?: boolean
}

const toggled = (chosen: ReadonlySet<string>, id: string): ReadonlySet<string> =>
  chosen.has(id) ? new Set([...chosen].filter((other) => other !== id)) : new Set([...chosen, id])

const Tick = ({ chosen, event }: { readonly chosen: Signal<ReadonlySet<string>>; readonly event: Event }) => (
  <td class="tick" onClick={(click) => click.stopPropagation()}>
    <label>
      <input
        type="checkbox"
        aria-label={`Select the event of ${event.key} at version ${event.version ?? "none"}`}
        checked={chosen.value.has(event.eventId)}
        onChange={() => (chosen.value = toggled(chosen.value, event.eventId))}
      />
    </label>
  </td>
)

export const EventTable = ({ chosen, events, isFailed = false, label }: Props) => (
  <div class="scroll">
    <table>
      <caption class="unseen">{label}</caption>
      <thead>
        <tr>
          {chosen && (
            <td class="tick">
              <label>
                <input
                  type="checkbox"
                  aria-label="Select all that are shown"
                  checked={events.every(({ eventId }) => chosen.value.has(eventId))}
                  onChange={({ currentTarget }) => {
                    const ids = events.map(({ eventId }) => eventId)
                    const others = [...chosen.value].filter((id) => events.every(({ eventId }) => eventId !== id))
                    chosen.value = new Set(currentTarget.checked ? [...others, ...ids] : others)
                  }}
                />
              </label>
            </td>
          )}
          <th scope="col">Key</th>
          <th scope="col">Change</th>
          {!isFailed && <th scope="col">State</th>}
          <th scope="col" class="number wide">
            Version
          </th>
          <th scope="col" class="number wide">
            Attempts
          </th>
          <th scope="col" class="number">
            When
          </th>
          {!isFailed && (
            <th scope="col" class="number wide">
              Took
            </th>
          )}
        </tr>
      </thead>
      <tbody>
        {events.map((event) => (
          <tr
            key={event.eventId}
            aria-selected={eventId.value === event.eventId}
            onClick={() => adjust({ event: event.eventId })}
          >
            {chosen && <Tick chosen={chosen} event={event} />}
            <th scope="row">
              <a class="row-link mono" href={here({ event: event.eventId })} title={event.key}>
                {short(event.key)}
              </a>
            </th>
            <td>
              <Change of={changeOf(event)} />
            </td>
            {!isFailed && (
              <td>
                <State of={stateOf(event)} />
              </td>
            )}
            <td class="number wide">{event.version ?? "–"}</td>
            <td class="number wide">{event.attemptCount}</td>
            <td class="number">
              <At time={event.createdAt} />
            </td>
            {!isFailed && (
              <td class="number wide">
                {event.completedAt === null ? "–" : duration(millisBetween(event.createdAt, event.completedAt))}
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  </div>
)
