import { signal } from "@preact/signals"
import type { JSX } from "preact"
import { isHelpOpen } from "../model/dialog.ts"
import { config, health, isPaused, problem, topic, topics } from "../model/live.ts"
import { adjust, route, to, type View } from "../model/route.ts"
import type * as Later from "./later.ts"
import { Live } from "./Live.tsx"
import { Icon, Loading, type PATHS } from "./parts.tsx"

const later = signal<typeof Later | undefined>(undefined)
void import("./later.ts").then((loaded) => {
  later.value = loaded
  loaded.listen()
})

const Waiting = () => <Loading />

const pageOf = (view: View): (() => JSX.Element | null) => {
  if (view === "live") return Live
  const { Events, Health, Key, Letters, Mails } = later.value ?? {}
  return { events: Events, health: Health, key: Key, letters: Letters, mails: Mails }[view] ?? Waiting
}

const Item = ({
  count = 0,
  icon,
  label,
  view
}: {
  count?: number
  icon: keyof typeof PATHS
  label: string
  view: View
}) => (
  <a href={to(view)} aria-current={route.value.view === view ? "page" : undefined}>
    <Icon name={icon} />
    {label}
    {count > 0 && (
      <span class="count">
        {count.toLocaleString("en")}
        <span class="unseen"> open</span>
      </span>
    )}
  </a>
)

const Nav = () => {
  const report = health.value
  const queue = report?.queue
  return (
    <nav aria-label="Views">
      <Item view="live" icon="live" label="Live" />
      <Item
        view="letters"
        icon="letters"
        label="Needs a person"
        count={(queue?.deadLettersOpen ?? 0) + (queue?.withoutRecipients ?? 0)}
      />
      <Item view="events" icon="events" label="Events" />
      <Item view="health" icon="health" label="Health" count={queue?.alertsOpen.length ?? 0} />
      {config.value?.mails && <Item view="mails" icon="mails" label="Mails" />}
    </nav>
  )
}

const Standing = () => {
  const report = health.value
  const [tone, word] = problem.value
    ? ["bad", "No answer"]
    : report === undefined
      ? ["calm", "Connecting"]
      : report.status === "ready"
        ? ["good", "Ready"]
        : ["bad", "Not ready"]
  return (
    <div class="standing">
      <a class={`state ${tone}`} href={to("health")}>
        <i />
        <span>{word}</span>
      </a>
      <button
        type="button"
        class="quiet"
        aria-pressed={isPaused.value}
        onClick={() => (isPaused.value = !isPaused.value)}
      >
        <Icon name={isPaused.value ? "play" : "pause"} />
        {isPaused.value ? "Resume" : "Pause"}
      </button>
      <button type="button" class="quiet" aria-label="Keyboard shortcuts" onClick={() => (isHelpOpen.value = true)}>
        ?
      </button>
    </div>
  )
}

export const Shell = () => {
  const { view } = route.value
  const Page = pageOf(view)
  const { Alerts, ChangeDialog, EventPanel, Help, Problem, Search } = later.value ?? {}
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(click) => (click.preventDefault(), document.querySelector("main")?.focus())}
      >
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href={to("live")}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <rect width="20" height="20" rx="5" />
            <path d="M10 14.5v-8M6.2 9.8 10 6l3.8 3.8" />
          </svg>
          Outbox
        </a>
        <span class="project">{config.value?.project}</span>
        <label>
          <span class="unseen">Topic</span>
          <select
            value={topic.value}
            onChange={({ currentTarget }) => adjust({ topic: currentTarget.value, event: "" })}
          >
            {[...new Set([topic.value, ...topics.value])].map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {config.value?.readOnly && <span class="tag">read only</span>}
        <span class="spring" />
        {Search && <Search />}
      </header>
      <aside class="side" aria-label="Sidebar">
        <Nav />
        <Standing />
      </aside>
      <main id="main" tabIndex={-1}>
        {Problem && problem.value && <Problem of={problem.value} />}
        {Alerts && view !== "health" && <Alerts />}
        <Page key={`${view} ${topic.value}`} />
      </main>
      {EventPanel && <EventPanel />}
      {ChangeDialog && <ChangeDialog />}
      {Help && <Help />}
    </>
  )
}
