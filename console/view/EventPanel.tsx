import { useEffect, useRef } from "preact/hooks"
import { getEvent } from "../model/api.ts"
import { curl } from "../model/curl.ts"
import { changes, config, keepHistory, recent, topic } from "../model/live.ts"
import { reasonInWords } from "../model/reasons.ts"
import { adjust, eventId, to } from "../model/route.ts"
import { stagesOf } from "../model/stages.ts"
import type { Attempt, History } from "../model/types.ts"
import { changeOf, duration, millisBetween, plural, short, stateOf } from "../model/words.ts"
import { Actions } from "./Letters.tsx"
import { Ago, At, Copy } from "./details.tsx"
import { Change, Icon, Loading, State } from "./parts.tsx"
import { Problem } from "./Problem.tsx"
import { StageMark } from "./Stages.tsx"
import { useLoad } from "./useLoad.ts"

const OUTCOMES: Readonly<Record<string, string>> = {
  completed: "Completed",
  permanent: "Refused permanently",
  transient: "Failed",
  parked: "Not tried: the circuit was open",
  lease: "Claimed, but not settled",
  unacknowledged: "Sent, but nobody claimed it",
  rejected: "The handler rejected the delivery",
  dispatch: "Could not be sent"
}

const AttemptItem = ({ later, of }: { readonly later: Attempt | undefined; readonly of: Attempt }) => (
  <li class={of.outcome === "completed" ? "good" : of.outcome === "parked" ? "calm" : "bad"}>
    <span class="line">
      <b>{OUTCOMES[of.outcome] ?? of.outcome}</b>
      {of.httpStatus !== null && <code>HTTP {of.httpStatus}</code>}
      <At time={of.endedAt} />
    </span>
    <small>
      Attempt {of.attempt}
      {of.why !== null && `, sent by ${of.why}`}
      {of.dispatchedAt !== null && `, took ${duration(millisBetween(of.dispatchedAt, of.endedAt))}`}
    </small>
    {of.error !== null && of.error !== later?.error && <pre>{of.error}</pre>}
  </li>
)

/** The newest first. A repeated error is shown once. */
export const Attempts = ({ of }: { readonly of: ReadonlyArray<Attempt> }) => (
  <ol class="attempts">
    {of
      .map((attempt, place) => (
        <AttemptItem key={`${attempt.attempt} ${attempt.endedAt}`} later={of[place + 1]} of={attempt} />
      ))
      .toReversed()}
  </ol>
)

const Record = ({ of, was }: { readonly of: History["record"]; readonly was: History["oldRecord"] }) => (
  <dl class="facts mono">
    {Object.entries(of).map(([name, value]) => {
      const before = was?.[name]
      const isOther = was !== null && JSON.stringify(before) !== JSON.stringify(value)
      return (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {isOther && <del>{JSON.stringify(before)}</del>} {JSON.stringify(value)}
          </dd>
        </div>
      )
    })}
  </dl>
)

const Details = ({ of }: { readonly of: History }) => {
  const { attempts, deadLetter, receipt } = of
  return (
    <>
      <div class="bar">
        <Actions events={deadLetter?.resolution === "resolved" ? [] : [of]} />
        <a class="button" href={to("key", { key: of.key })}>
          All events of this key
        </a>
      </div>
      <ol class="steps">
        {stagesOf(of, of).map((stage) => (
          <li key={stage.name} class={stage.state}>
            {stage.name}
            <StageMark stage={stage} />
          </li>
        ))}
      </ol>
      {deadLetter && (
        <section>
          <h3>Dead letter</h3>
          <p>
            {reasonInWords(deadLetter.reason)}, <Ago time={deadLetter.createdAt} />
            {deadLetter.resolution !== null && `; ${deadLetter.resolution}`}.
          </p>
          {deadLetter.notes !== null && <blockquote>{deadLetter.notes}</blockquote>}
        </section>
      )}
      <section>
        <h3>What changed</h3>
        <Record of={of.record} was={of.oldRecord} />
      </section>
      <section>
        <h3>{attempts.length === 0 ? "No attempt has ended yet" : plural(attempts.length, "attempt")}</h3>
        <Attempts of={attempts} />
      </section>
      {receipt !== null && (
        <section>
          <h3>Receipt</h3>
          <pre>{JSON.stringify(receipt, null, 2)}</pre>
        </section>
      )}
      <section>
        <h3>Identity</h3>
        <dl class="facts mono">
          {Object.entries({ event: of.eventId, key: of.key, version: of.version ?? "–", source: of.source }).map(
            ([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            )
          )}
        </dl>
        <div class="bar">
          <Copy label="Copy as curl" text={curl(config.value?.url ?? "", of.topic, of.eventId)} />
          <Copy label="Copy event id" text={of.eventId} />
        </div>
      </section>
    </>
  )
}

/** Everything about one event, next to the list that it was opened from. */
export const EventPanel = () => {
  const id = eventId.value
  const name = topic.value
  const panel = useRef<HTMLElement>(null)
  const listed = recent.value?.find((event) => event.eventId === id)
  const { data, problem } = useLoad(async () => {
    if (id === "") return undefined
    const found = await getEvent(name, id)
    keepHistory(found)
    return found
  }, [id, name, changes.value, listed?.status, listed?.attemptCount])
  useEffect(() => {
    if (id !== "") panel.current?.focus()
  }, [id])
  if (id === "") return null
  const event = data.value?.eventId === id ? data.value : undefined
  return (
    <aside class="panel" ref={panel} tabIndex={-1} aria-label="Event">
      <header>
        <h2 class="mono">{event === undefined ? "Event" : short(event.key)}</h2>
        {event && <Change of={changeOf(event)} />}
        {event && <State of={event.deadLetter?.resolution === "resolved" ? "resolved" : stateOf(event)} />}
        <span class="spring" />
        <button type="button" class="quiet" aria-label="Close" onClick={() => adjust({ event: "" })}>
          <Icon name="close" />
        </button>
      </header>
      {problem.value ? <Problem of={problem.value} /> : event ? <Details of={event} /> : <Loading />}
    </aside>
  )
}
