import { health, now, problem } from "../model/live.ts"
import { ago } from "../model/words.ts"
import { Ago } from "./details.tsx"
import { Loading } from "./parts.tsx"

const NAMES: Readonly<Record<string, string>> = {
  database: "The database answers",
  orchestrator: "The orchestrator answers",
  secrets: "The secrets are set",
  oldestUnnotified: "Nothing waits too long",
  capture: "Every change is captured",
  jobs: "The scheduled jobs run"
}

const Mark = ({ ok }: { readonly ok: boolean }) => (
  <span class={`state ${ok ? "good" : "bad"}`}>
    <i />
    {ok ? "ok" : "wrong"}
  </span>
)

export const Health = () => {
  const report = health.value
  if (report === undefined) return problem.value === undefined ? <Loading /> : null
  const queue = report.queue
  return (
    <>
      <header class="head">
        <div>
          <h1>{report.status === "ready" ? "Everything is in order" : "Something is wrong"}</h1>
          <p>What the function reports about itself, the database and the jobs.</p>
        </div>
      </header>
      <section class="card">
        <header>
          <h2>Checks</h2>
        </header>
        <ul class="list">
          {Object.entries(report.checks).map(([name, { detail, ok }]) => (
            <li key={name}>
              <span>
                {NAMES[name] ?? name}
                {detail !== undefined && <small>{detail}</small>}
              </span>
              <Mark ok={ok} />
            </li>
          ))}
        </ul>
      </section>
      <section class="card">
        <header>
          <h2>Alerts</h2>
        </header>
        {queue === null || queue.alertsOpen.length === 0 ? (
          <p class="foot">No alert is open.</p>
        ) : (
          <ul class="list">
            {queue.alertsOpen.map(({ detail, kind, lastSeenAt, since }) => (
              <li key={kind}>
                <span>
                  {kind.replaceAll("_", " ")}
                  <small>{detail}</small>
                </span>
                <small>
                  open for {ago(since, now.value).replace(" ago", "")}, last seen <Ago time={lastSeenAt} />
                </small>
              </li>
            ))}
          </ul>
        )}
      </section>
      <section class="card">
        <header>
          <h2>Topics and jobs</h2>
        </header>
        <ul class="list">
          {queue?.topics.map(({ attached, enabled, problem, topic }) => (
            <li key={topic}>
              <span>
                {topic}
                <small>{problem ?? "Its triggers are in place and enabled."}</small>
              </span>
              <Mark ok={attached && enabled && problem === undefined} />
            </li>
          ))}
          {queue?.jobs.map(({ lastRunAt, name, problem, scheduled }) => (
            <li key={name}>
              <span>
                {name}
                <small>
                  {problem ??
                    (lastRunAt === null ? (
                      "It has not run yet."
                    ) : (
                      <>
                        ran <Ago time={lastRunAt} />
                      </>
                    ))}
                </small>
              </span>
              <Mark ok={scheduled && problem === undefined} />
            </li>
          ))}
        </ul>
      </section>
    </>
  )
}
