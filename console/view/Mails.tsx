import { useSignal } from "@preact/signals"
import { getMails } from "../model/api.ts"
import { now } from "../model/live.ts"
import { ago } from "../model/words.ts"
import { Empty, Loading } from "./parts.tsx"
import { Problem } from "./Problem.tsx"
import { useLoad } from "./useLoad.ts"

const SHOWN = 200
const EVERY_SECONDS = 3

/** The mails that the local stand-in for Resend accepted. */
export const Mails = () => {
  const { data, problem } = useLoad(getMails, [Math.floor(now.value / (EVERY_SECONDS * 1_000))])
  const open = useSignal("")
  const mails = data.value?.toReversed().slice(0, SHOWN)
  const shown = mails?.find(({ id }) => id === open.value) ?? mails?.[0]
  return (
    <>
      <header class="head">
        <div>
          <h1>Mails</h1>
          <p>These mails went to the local stand-in for Resend. None left this machine.</p>
        </div>
      </header>
      {problem.value && <Problem of={problem.value} />}
      {mails === undefined ? (
        problem.value === undefined && <Loading />
      ) : shown === undefined ? (
        <div class="card">
          <Empty title="No mail yet">Pause a mentor who has coordinators.</Empty>
        </div>
      ) : (
        <div class="card mails">
          <ul class="list">
            {mails.map(({ createdAt, id, subject, to }) => (
              <li key={id}>
                <button type="button" aria-pressed={id === shown.id} onClick={() => (open.value = id)}>
                  <b>{subject}</b>
                  <small>
                    {to.join(", ")}, {ago(new Date(createdAt).toISOString(), now.value)}
                  </small>
                </button>
              </li>
            ))}
          </ul>
          <iframe
            sandbox=""
            title={`Mail: ${shown.subject}`}
            src={`mails/${shown.id}.${shown.html === undefined ? "txt" : "html"}`}
          />
        </div>
      )}
    </>
  )
}
