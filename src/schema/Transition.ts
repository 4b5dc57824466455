import * as Schema from "effect/Schema"

/** The two transitions that coordinators are notified of. */
export const Direction = Schema.Literals(["PAUSE", "RESUME"])
export type Direction = typeof Direction.Type

/**
 * What a change of status means: `PAUSE` (active→paused), `RESUME` (paused→active) or `NO_CHANGE` (all else).
 *
 * @public
 */
export const TransitionType = /* @__PURE__ */ Schema.Literals(["PAUSE", "RESUME", "NO_CHANGE"])
export type TransitionType = typeof TransitionType.Type

/** Why a payload is `NO_CHANGE`: equal statuses, a new row, or a status other than active and paused. */
export const NoChangeReason = /* @__PURE__ */ Schema.Literals(["unchanged", "inserted", "unrecognised"])
export type NoChangeReason = typeof NoChangeReason.Type
