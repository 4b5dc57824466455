import type { Refused } from "../model/api.ts"

const ADVICE: Readonly<Record<string, string>> = {
  unauthorized: "The key is not one of the project's secret keys. Start the console again with another --key.",
  forbidden: "The key may not do this. Use a secret key of the project.",
  unreachable: "The page shows what it knew before, and tries again.",
  not_found: "Nothing is served there. Check --url, and the topic."
}

export const Problem = ({ of }: { readonly of: Refused }) => (
  <div class="notice bad" role="alert">
    <strong>{of.message}</strong>
    <p>{ADVICE[of.code] ?? "The console tries again. The function's log says more."}</p>
  </div>
)
