import { health, now } from "../model/live.ts"
import { go } from "../model/route.ts"
import { ago, plural } from "../model/words.ts"

/** What is wrong now. Not shown on Health, which has all of it. */
export const Alerts = () => {
  const alerts = health.value?.queue?.alertsOpen ?? []
  const failing = Object.entries(health.value?.checks ?? {}).filter(([, { ok }]) => !ok)
  if (alerts.length + failing.length === 0) return null
  return (
    <section class="notice warn" aria-label="Alerts">
      <strong>
        {alerts.length > 0 ? `${plural(alerts.length, "alert")} open` : `${plural(failing.length, "check")} failing`}
      </strong>
      <ul>
        {alerts.map(({ detail, kind, since }) => (
          <li key={kind}>
            <b>{kind.replaceAll("_", " ")}</b> {detail} <small>{ago(since, now.value)}</small>
          </li>
        ))}
        {alerts.length === 0 &&
          failing.map(([name, { detail }]) => (
            <li key={name}>
              <b>{name}</b> {detail}
            </li>
          ))}
      </ul>
      <button type="button" onClick={() => go("health")}>
        See the checks
      </button>
    </section>
  )
}
