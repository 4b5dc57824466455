import { useSignal } from "@preact/signals"
import { now } from "../model/live.ts"
import { ago, at } from "../model/words.ts"
import { Icon } from "./parts.tsx"

/** How long ago a time was, with the exact time on hover. */
export const Ago = ({ time }: { readonly time: string }) => (
  <time dateTime={time} title={time}>
    {ago(time, now.value)}
  </time>
)

export const At = ({ time }: { readonly time: string }) => (
  <time dateTime={time} title={time}>
    {at(time, now.value)}
  </time>
)

export const Copy = ({ label, text }: { readonly label: string; readonly text: string }) => {
  const isCopied = useSignal(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    isCopied.value = true
    setTimeout(() => (isCopied.value = false), 1_500)
  }
  return (
    <button type="button" class="quiet" onClick={copy}>
      <Icon name={isCopied.value ? "done" : "copy"} />
      <span aria-live="polite">{isCopied.value ? "Copied" : label}</span>
    </button>
  )
}
