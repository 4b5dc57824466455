import { useSignal, useSignalEffect } from "@preact/signals"
import { useEffect, useRef } from "preact/hooks"
import { type Action, changeAll, changeFor, outcomeInWords, type Result } from "../model/act.ts"
import { curl } from "../model/curl.ts"
import { asked } from "../model/dialog.ts"
import { changes, config } from "../model/live.ts"
import type { Event } from "../model/types.ts"
import { plural, short } from "../model/words.ts"
import { Copy } from "./details.tsx"

const TITLES: Readonly<Record<Action, string>> = {
  redrive: "Send again",
  resolve: "Resolve without sending",
  cancel: "Cancel before it is sent"
}
const DOING: Readonly<Record<Action, string>> = { redrive: "Redrive", resolve: "Resolve", cancel: "Cancel" }
const ABOUT: Readonly<Record<Action, string>> = {
  redrive: "Each event is sent again with the same id. People who were already notified are not notified twice.",
  resolve: "The events are closed as they are. Nobody is notified.",
  cancel: "The events are never sent. Nobody is notified of these changes."
}

interface Count {
  readonly words: string
  readonly isDone: boolean
  readonly count: number
  readonly keys: ReadonlySet<string>
}

const countsOf = (results: ReadonlyArray<Result>): ReadonlyArray<Count> => {
  const counts = new Map<string, Count>()
  for (const result of results) {
    const words = outcomeInWords(result)
    const { count = 0, keys = [] } = counts.get(words) ?? {}
    counts.set(words, {
      words,
      isDone: result.isDone,
      count: count + 1,
      keys: new Set([...keys, short(result.event.key)])
    })
  }
  return [...counts.values()].toSorted((one, other) => Number(other.isDone) - Number(one.isDone))
}

const Results = ({ results }: { readonly results: ReadonlyArray<Result> }) => (
  <ul class="plan">
    {countsOf(results).map(({ count, isDone, keys, words }) => (
      <li key={words} class={isDone ? "good" : "warn"}>
        <b>{count}</b>
        <span>
          {words}
          <small class="mono">
            {[...keys].slice(0, 4).join(", ")}
            {keys.size > 4 && ` and ${plural(keys.size - 4, "more key")}`}
          </small>
        </span>
      </li>
    ))}
  </ul>
)

type Step = "checking" | "plan" | "working" | "done"

const Form = ({ action, close, events }: { action: Action; close: () => void; events: ReadonlyArray<Event> }) => {
  const step = useSignal<Step>("checking")
  const force = useSignal(false)
  const notes = useSignal("")
  const results = useSignal<ReadonlyArray<Result>>([])
  const total = useSignal(events.length)
  const stop = useRef(new AbortController())

  const run = async (some: ReadonlyArray<Event>, dryRun: boolean) => {
    stop.current = new AbortController()
    const { signal } = stop.current
    total.value = some.length
    results.value = []
    step.value = dryRun ? "checking" : "working"
    const choice = { force: force.peek(), notes: notes.peek().trim(), dryRun }
    await changeAll(some, action, choice, (result) => (results.value = [...results.value, result]), signal)
    if (signal.aborted && dryRun) return
    step.value = dryRun ? "plan" : "done"
    if (!dryRun) changes.value++
  }
  // The plan is made again when its input changes.
  useSignalEffect(() => {
    void force.value
    void run(events, true)
    return () => stop.current.abort()
  })
  useEffect(() => () => stop.current.abort(), [])

  const possible = results.value.filter(({ isDone }) => isDone).map(({ event }) => event)
  const isBusy = step.value === "checking" || step.value === "working"
  const canForce = force.value || results.value.some(({ outcome }) => outcome === "superseded")
  const commands = events.map(({ eventId, topic }) => {
    const choice = { force: force.value, notes: notes.value.trim() }
    return curl(config.value?.url ?? "", topic, eventId, changeFor(action, choice, false))
  })
  return (
    <form
      method="dialog"
      onSubmit={(submit) => {
        submit.preventDefault()
        if (step.value === "plan" && possible.length > 0) void run(possible, false)
      }}
    >
      <h2 id="change-title">{TITLES[action]}</h2>
      <p>{ABOUT[action]}</p>
      <div class="progress" aria-live="polite">
        <span>
          {step.value === "checking" && `Checking ${plural(total.value, "event")}, changing nothing`}
          {step.value === "plan" && "This is the plan. Nothing has changed yet."}
          {step.value === "working" && `${results.value.length} of ${total.value}`}
          {step.value === "done" && `Done: ${possible.length} of ${plural(total.value, "event")}`}
        </span>
        {isBusy && <progress aria-label="Progress" max={total.value} value={results.value.length} />}
      </div>
      {step.value !== "checking" && <Results results={results.value} />}
      {step.value === "plan" && action === "redrive" && canForce && (
        <label class="check">
          <input
            type="checkbox"
            checked={force.value}
            onChange={({ currentTarget }) => (force.value = currentTarget.checked)}
          />
          <span>
            Send superseded events as well
            <small>People are notified of an old state, although they know a newer one.</small>
          </span>
        </label>
      )}
      {step.value === "plan" && action !== "redrive" && (
        <label class="field">
          Notes
          <textarea
            rows={2}
            maxLength={2_000}
            placeholder="What you found, for the next person"
            value={notes.value}
            onInput={({ currentTarget }) => (notes.value = currentTarget.value)}
          />
        </label>
      )}
      <footer>
        {step.value === "plan" && <Copy label="Copy as curl" text={commands.join("\n")} />}
        <span class="spring" />
        {step.value === "working" ? (
          <button type="button" onClick={() => stop.current.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" onClick={close}>
            {step.value === "done" ? "Close" : "Back"}
          </button>
        )}
        {step.value !== "done" && (
          <button type="submit" class="primary" disabled={step.value !== "plan" || possible.length === 0}>
            {DOING[action]} {step.value === "checking" ? "" : plural(possible.length, "event")}
          </button>
        )}
      </footer>
    </form>
  )
}

/** Opens with a dry run of the action, then carries it out and shows the results. */
export const ChangeDialog = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const now = asked.value
  useEffect(() => {
    if (now !== undefined) dialog.current?.showModal()
  }, [now])
  const close = () => {
    dialog.current?.close()
    asked.value = undefined
  }
  return (
    <dialog ref={dialog} aria-labelledby="change-title" onClose={() => (asked.value = undefined)}>
      {now && <Form action={now.action} close={close} events={now.events} />}
    </dialog>
  )
}
