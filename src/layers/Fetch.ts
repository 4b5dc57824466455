import * as Context from "effect/Context"

/** The platform's fetch; tests put their own here. */
export const Fetch = Context.Reference<typeof globalThis.fetch>("pause-status-webhook-handler/layers/Fetch", {
  defaultValue: () => globalThis.fetch
})
