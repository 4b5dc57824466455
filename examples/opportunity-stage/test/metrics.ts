import { assert } from "@effect/vitest"
import type { Database } from "../../../test/support/pipeline.ts"

/** The counters, and the same figures from the history alone: the last row of each opportunity. */
const BOTH = `
  with last as (
    select distinct on (t.opportunity_id) t.new_stage as stage, t.amount
    from public.stage_transitions t
    order by t.opportunity_id, t.version desc
  ), recount as (
    select s.stage, count(l.stage) as opportunities, coalesce(sum(l.amount), 0) as value
    from public.pipeline_stages s
    left join last l on l.stage = s.stage
    group by s.stage
  )
  select
    jsonb_object_agg(s.stage, jsonb_build_array(s.opportunities, trim_scale(s.value)::text)) as counted,
    jsonb_object_agg(r.stage, jsonb_build_array(r.opportunities, trim_scale(r.value)::text)) as recounted,
    (select jsonb_build_array(m.deals_won, m.deals_lost, trim_scale(m.revenue)::text, m.win_rate) from public.sales_metrics m)
      as metrics,
    (
      select jsonb_build_array(
        won.opportunities, lost.opportunities, trim_scale(won.value)::text,
        round(won.opportunities::numeric / nullif(won.opportunities + lost.opportunities, 0), 4)
      )
      from recount won, recount lost where won.stage = 'closed_won' and lost.stage = 'closed_lost'
    ) as expected
  from public.pipeline_stages s
  join recount r on r.stage = s.stage`

/** The number and value of the opportunities in each stage. */
export type Counted = Readonly<Record<string, readonly [opportunities: number, value: string]>>

interface Row {
  readonly counted: Counted
  readonly recounted: Counted
  readonly metrics: ReadonlyArray<unknown>
  readonly expected: ReadonlyArray<unknown>
}

/** Compares every figure with a recount from the history, and returns the counters. */
export const expectRightMetrics = async (database: Pick<Database, "rows">): Promise<Counted> => {
  const [row] = await database.rows<Row>(BOTH)
  assert.isDefined(row)
  assert.deepStrictEqual(row.counted, row.recounted)
  assert.deepStrictEqual(row.metrics, row.expected)
  return row.counted
}
