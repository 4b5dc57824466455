import { useEffect, useRef } from "preact/hooks"
import { isHelpOpen } from "../model/dialog.ts"
import { SHORTCUTS } from "../model/keyboard.ts"

export const Help = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (isHelpOpen.value) dialog.current?.showModal()
  }, [isHelpOpen.value])
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (isHelpOpen.value = false)}>
      <form method="dialog">
        <h2 id="help-title">Keyboard shortcuts</h2>
        <dl>
          {SHORTCUTS.map(({ keys, what }) => (
            <div key={keys}>
              <dt>{what}</dt>
              <dd>
                {keys.split(" ").map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dd>
            </div>
          ))}
        </dl>
        <footer>
          <span class="spring" />
          <button type="submit">Close</button>
        </footer>
      </form>
    </dialog>
  )
}
