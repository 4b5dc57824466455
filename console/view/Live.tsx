import { figures, health, historyOf, isCut, now, problem, recent, topic } from "../model/live.ts"
import { MINUTES } from "../model/figures.ts"
import { adjust, eventId, here, to } from "../model/route.ts"
import { STAGES, stagesOf } from "../model/stages.ts"
import type { Event } from "../model/types.ts"
import { at, changeOf, duration, short } from "../model/words.ts"
import { Bars, Lines } from "./Chart.tsx"
import { Change, Empty, Loading } from "./parts.tsx"
import { StageMark } from "./Stages.tsx"

const Tiles = () => {
  const queue = health.value?.queue
  const { count, minutes, p50, p99 } = figures.value
  const waiting = queue ? queue.pending + queue.processing : undefined
  const letters = queue ? queue.deadLettersOpen + queue.withoutRecipients : undefined
  return (
    <dl class="tiles">
      <div>
        <dt>Waiting</dt>
        <dd>
          <b>{waiting?.toLocaleString("en") ?? "–"}</b>
          <small>
            {queue && waiting ? `the oldest for ${duration(queue.oldestUnnotifiedSeconds * 1_000)}` : "in the outbox"}
          </small>
        </dd>
      </div>
      <div>
        <dt>Needs a person</dt>
        <dd>
          <b class={letters ? "bad" : ""}>{letters?.toLocaleString("en") ?? "–"}</b>
          <small>{letters ? <a href={to("letters")}>See them</a> : "dead letters"}</small>
        </dd>
      </div>
      <div class="with-chart">
        <dt>Settled in {MINUTES} minutes</dt>
        <dd>
          <b>
            {recent.value === undefined ? "–" : count.toLocaleString("en")}
            {isCut.value && "+"}
          </b>
          <Bars minutes={minutes} />
        </dd>
      </div>
      <div class="with-chart">
        <dt>
          Change to settled <span class="legend">p50</span> <span class="legend p99">p99</span>
        </dt>
        <dd>
          <b>
            {count === 0 ? "–" : duration(p50)} {count > 0 && <span>{duration(p99)}</span>}
          </b>
          <Lines minutes={minutes} />
        </dd>
      </div>
    </dl>
  )
}

const Row = ({ event }: { readonly event: Event }) => (
  <tr
    aria-selected={eventId.value === event.eventId}
    class={Date.now() - Date.parse(event.createdAt) < 4_000 ? "new" : ""}
    onClick={() => adjust({ event: event.eventId })}
  >
    <th scope="row">
      <a class="row-link mono" href={here({ event: event.eventId })} title={event.key}>
        {short(event.key)}
      </a>
      <Change of={changeOf(event)} />
    </th>
    {stagesOf(event, historyOf(event)).map((stage) => (
      <td key={stage.name} class={stage.name}>
        {stage.name === "Committed" ? (
          <StageMark stage={stage} text={at(event.createdAt, now.value)} />
        ) : (
          <StageMark stage={stage} />
        )}
      </td>
    ))}
  </tr>
)

const Pipeline = () => {
  const events = recent.value
  if (events === undefined) return <Loading rows={8} />
  if (events.length === 0)
    return (
      <Empty title={`No event of ${topic.value} yet`}>
        Change a row that the topic watches. It appears here within a second.
      </Empty>
    )
  return (
    <div class="scroll">
      <table class="pipeline">
        <caption class="unseen">The newest events, and when each reached which step</caption>
        <thead>
          <tr>
            <th scope="col">Key and change</th>
            {STAGES.map((name) => (
              <th scope="col" key={name} class={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {events.slice(0, 25).map((event) => (
            <Row key={event.eventId} event={event} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

export const Live = () => (
  <>
    <h1 class="unseen">Live</h1>
    {(recent.value !== undefined || problem.value === undefined) && (
      <>
        <Tiles />
        <section class="card">
          <header>
            <h2>Pipeline</h2>
            <small>The newest events of {topic.value}. Times count from the change.</small>
          </header>
          <Pipeline />
        </section>
      </>
    )}
  </>
)
