import type { Refused } from "../model/api.ts"

const ADVICE: Readonly<Record<string, string>> = {
  unauthorized: "The key is not one of the project's secret keys. Start the console again with another --key.",
  forbidden: "The key has no right to do this. Use one of the project's secret keys.",
  unreachable: "The page shows the last known state, and tries again.",
  not_found: "There is nothing at this path. Check --url and the topic."
}

export const Problem = ({ of }: { readonly of: Refused }) => (
  <div class="notice bad" role="alert">
    <strong>{of.message}</strong>
    <p>{ADVICE[of.code] ?? "The console tries again. See the function's log."}</p>
  </div>
)
