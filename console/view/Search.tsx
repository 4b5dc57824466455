import { useRef } from "preact/hooks"
import { getEvent } from "../model/api.ts"
import { topic } from "../model/live.ts"
import { go } from "../model/route.ts"
import { isUuid } from "../model/words.ts"
import { Icon } from "./parts.tsx"

/** An event id opens the event. Anything else is a key. */
const find = async (text: string) => {
  const isEvent =
    isUuid(text) &&
    (await getEvent(topic.value, text).then(
      () => true,
      () => false
    ))
  if (isEvent) go("events", { event: text })
  else go("key", { key: text })
}

export const Search = () => {
  const field = useRef<HTMLInputElement>(null)
  return (
    <form
      class="search"
      role="search"
      onSubmit={(submit) => {
        submit.preventDefault()
        const text = field.current?.value.trim() ?? ""
        if (text !== "") void find(text)
      }}
    >
      <Icon name="search" />
      <input
        ref={field}
        id="search"
        type="search"
        aria-label="Search by key or event id"
        placeholder="Key or event id"
      />
      <kbd>/</kbd>
    </form>
  )
}
