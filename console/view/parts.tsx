import type { ComponentChildren } from "preact"

export const PATHS = {
  live: "M1.5 8.5h3l2-6 3.5 11 2-5h2.5",
  letters: "M2 9.5h3.5l1 2h3l1-2H14M3.5 3.5h9l1.5 6v3H2v-3z",
  events: "M2.5 4h11M2.5 8h11M2.5 12h7",
  health: "M8 14s-6-3.6-6-7.8A3.2 3.2 0 0 1 8 4.5a3.2 3.2 0 0 1 6 1.7C14 10.4 8 14 8 14z",
  mails: "M2 4h12v8.5H2zM2.3 4.5 8 9l5.7-4.5",
  search: "M11.5 11.5 14 14M12.5 7.25a5.25 5.25 0 1 1-10.5 0 5.25 5.25 0 0 1 10.5 0z",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  done: "M3 8.5 6.5 12 13 4.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5v9l7-4.5z",
  next: "M6 3.5 10.5 8 6 12.5"
} as const

export const Icon = ({ name }: { readonly name: keyof typeof PATHS }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
)

const TONES: Readonly<Record<string, string>> = {
  completed: "good",
  processing: "busy",
  pending: "calm",
  "dead letter": "bad",
  "reached nobody": "warn",
  resolved: "calm"
}

/** A state, as a dot and a word, because colour alone is not enough. */
export const State = ({ of }: { readonly of: string }) => (
  <span class={`state ${TONES[of] ?? "calm"}`}>
    <i />
    {of}
  </span>
)

export const Change = ({ of }: { readonly of: string }) => (
  <span class={/^[A-Z]+$/.test(of) ? "change" : "words"}>{of}</span>
)

export const Empty = ({ children, title }: { readonly title: string; readonly children?: ComponentChildren }) => (
  <div class="empty">
    <strong>{title}</strong>
    <p>{children}</p>
  </div>
)

export const Loading = ({ rows = 6 }: { readonly rows?: number }) => (
  <div class="loading" role="status" aria-label="Loading">
    {Array.from({ length: rows }, (_, row) => (
      <i key={row} style={{ width: `${90 - ((row * 17) % 40)}%` }} />
    ))}
  </div>
)
