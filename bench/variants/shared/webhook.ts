/** A database webhook that a variant has checked. */
export interface Webhook {
  readonly type: "INSERT" | "UPDATE"
  readonly record: { readonly id: string; readonly status: string; readonly updated_at?: unknown }
  readonly old_record?: { readonly status: string } | null | undefined
  readonly event_id?: string | undefined
  readonly version?: number | undefined
  readonly timestamp?: string | undefined
}

export interface Issue {
  readonly path: ReadonlyArray<string | number>
  readonly message: string
}

/** How a variant checks a payload: with or without a library. */
export type Validate = (input: unknown) => { readonly webhook: Webhook } | { readonly issues: ReadonlyArray<Issue> }

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
export const TIMESTAMP = /^\d{4,6}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}(?::?\d{2}){0,2})?$/

export interface PauseEvent {
  readonly eventId: string
  readonly mentorId: string
  readonly transition: "PAUSE" | "RESUME"
  readonly oldStatus: string
  readonly newStatus: string
  readonly occurredAt: string
  readonly version?: number
  readonly source: "outbox" | "webhook"
}

/** PAUSE, RESUME, or the reason if it is neither. */
export const transitionOf = ({ old_record, record, type }: Webhook) => {
  if (type === "INSERT") return "inserted"
  if (old_record?.status === record.status) return "unchanged"
  if (old_record?.status === "active" && record.status === "paused") return "PAUSE"
  if (old_record?.status === "paused" && record.status === "active") return "RESUME"
  return "unrecognised"
}

export const occurredAtOf = ({ record, timestamp }: Webhook): string | undefined =>
  timestamp ??
  (typeof record.updated_at === "string" && TIMESTAMP.test(record.updated_at) ? record.updated_at : undefined)
