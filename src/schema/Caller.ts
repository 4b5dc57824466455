import * as Context from "effect/Context"

/**
 * The authenticated caller of a management route.
 *
 * **Shape** `project` has one of the project's secret keys; the others are users with a token of the project,
 * distinguished by its `app_metadata.role`. `userId` is the token's `sub`, a uuid as text. `monitor` has a token for one
 * operation.
 */
export class Caller extends Context.Service<
  Caller,
  | { readonly kind: "project" }
  | { readonly kind: "admin"; readonly userId: string }
  | { readonly kind: "coordinator"; readonly userId: string }
  | { readonly kind: "monitor"; readonly may: "getHealth" | "getMetrics" }
>()("pause-status-webhook-handler/schema/Caller") {}
