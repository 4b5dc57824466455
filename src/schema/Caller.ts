import * as Context from "effect/Context"

/**
 * Who calls the management routes.
 *
 * **Shape** `project` has one of the project's secret keys; the others are users with a token of the project, told apart
 * by its `app_metadata.role`. `userId` is the token's `sub`, a uuid as text.
 */
export type Principal =
  | { readonly kind: "project" }
  | { readonly kind: "admin"; readonly userId: string }
  | { readonly kind: "coordinator"; readonly userId: string }

/** The caller of the request at hand, known to be who they say. */
export class Caller extends Context.Service<Caller, Principal>()("pause-status-webhook-handler/schema/Caller") {}
