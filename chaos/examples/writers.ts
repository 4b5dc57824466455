import { setTimeout as wait } from "node:timers/promises"
import type { Client } from "pg"
import { flip, transactionOf, within, type Work } from "../writers.ts"
import {
  type Change,
  eventsOf,
  type ExampleOperation,
  type ExampleWorld,
  planExampleOperations,
  REORDER_THRESHOLD
} from "./plan.ts"

// "On conflict", because an earlier attempt may have been committed although its reply was lost.
const INSERT_ORDER = `
  with new_order as (
    insert into public.orders (id, customer_name, customer_email, total, currency, locale)
    values ($1::uuid, 'Ada Lovelace', $1::uuid::text || '@orders.example.com', 2.5 * $2::int, 'EUR', 'en-IE')
    on conflict do nothing
    returning id
  ), items as (
    insert into public.order_items (order_id, position, description, quantity, unit_price)
    select o.id, n, 'Coffee', 1, 2.5 from new_order o cross join generate_series(1, $2::int) as n
  )
  select pg_current_xact_id()::text as transaction from new_order`

const SET_STOCK = `
  update public.inventory_items set quantity = $2 where id = $1 returning pg_current_xact_id()::text as transaction`

const SET_STOCK_OF_MANY = `
  with locked as materialized (
    select id from public.inventory_items where id = any($1::uuid[]) order by id for update
  )
  update public.inventory_items as i set quantity = $2 from locked where i.id = locked.id
  returning pg_current_xact_id()::text as transaction`

const MOVE_DEAL = `
  update public.opportunities set stage = $2, amount = $3 where id = $1
  returning pg_current_xact_id()::text as transaction`

const change = (client: Client, given: Change): Promise<string | undefined> => {
  switch (given.kind) {
    case "flip":
      return flip(client, given.mentor)
    case "order":
      return transactionOf(client, INSERT_ORDER, [given.id, given.lines])
    case "stock":
      return transactionOf(client, SET_STOCK, [given.item, given.quantity])
    case "deal":
      return transactionOf(client, MOVE_DEAL, [given.opportunity, given.stage, given.amount])
  }
}

const perform = (client: Client, operation: ExampleOperation): Promise<string | undefined> => {
  switch (operation.kind) {
    case "transaction":
    case "rollback":
      return within(client, operation.kind === "rollback" ? "rollback" : "commit", async () => {
        let transaction: string | undefined
        for (const each of operation.changes) transaction = await change(client, each)
        if (operation.pauseSeconds > 0) await wait(operation.pauseSeconds * 1_000)
        return transaction
      })
    case "bulk stock":
      return transactionOf(client, SET_STOCK_OF_MANY, [operation.items, operation.quantity])
    default:
      return change(client, operation)
  }
}

/** The work of a run with the examples. */
export const exampleWork = (world: ExampleWorld): Work<ExampleOperation> => ({
  operations: (random, largestBulk) => planExampleOperations(random, world, largestBulk),
  perform,
  changesOf: eventsOf
})

export const INSERT_ITEMS = `
  insert into public.inventory_items (id, name, quantity, reorder_threshold)
  select id, 'Coffee', 25, ${REORDER_THRESHOLD} from unnest($1::uuid[]) as id`

export const INSERT_OPPORTUNITIES =
  "insert into public.opportunities (id, name, amount) select id, 'A deal', 100 from unnest($1::uuid[]) as id"
