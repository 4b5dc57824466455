import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Issue, Release } from "pause-status-webhook-handler/topic"
import type { Order } from "./Order.ts"

/** There is no order with this id, or it was deleted. */
export class OrderUnknown extends Data.TaggedError("OrderUnknown")<{ readonly orderId: string }> {
  readonly release: Release = { kind: "permanent" }

  override get message(): string {
    return `There is no order ${this.orderId}`
  }
}

/** No invoice can be made for this order. **Shape** every issue with its path. */
export class OrderInvalid extends Data.TaggedError("OrderInvalid")<{ readonly issues: ReadonlyArray<Issue> }> {
  readonly release: Release = { kind: "permanent" }

  override get message(): string {
    const listed = this.issues.map(({ message, path }) =>
      path.length === 0 ? message : `${path.join(".")}: ${message}`
    )
    return `No invoice can be made for this order: ${listed.join("; ")}`
  }
}

/** The database did not answer, or refused the request. */
export class OrdersUnavailable extends Data.TaggedError("OrdersUnavailable")<{ readonly detail: string }> {
  readonly release: Release = { kind: "transient" }

  override get message(): string {
    return `The orders cannot be reached: ${this.detail}`
  }
}

/**
 * The orders of the project.
 *
 * `setInvoiceUrl` stores the URL unless another one was stored since the order was read, and returns the stored one.
 *
 * **Fails with** OrderUnknown, OrderInvalid, OrdersUnavailable.
 */
export class Orders extends Context.Service<
  Orders,
  {
    readonly read: (orderId: string) => Effect.Effect<Order, OrderUnknown | OrderInvalid | OrdersUnavailable>
    readonly setInvoiceUrl: (order: Order, url: string) => Effect.Effect<string, OrderUnknown | OrdersUnavailable>
  }
>()("order-created/Orders") {}
