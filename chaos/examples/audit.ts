import type { Stack } from "../../local/stack.ts"
import { type Evidence, everybody, millis, readPauseStatus, readTopic, type Told, type Transition } from "../audit.ts"
import { rowsOf, type Session } from "../Session.ts"
import type { System } from "../system.ts"
import type { Violation } from "../verify.ts"

interface Mail {
  readonly to: ReadonlyArray<string>
  readonly subject: string
  readonly createdAt: number
  readonly idempotencyKey: string
}

interface Known {
  readonly key: string
  readonly version: number
}

// By the notification's event: a coordinator is notified of each event once.
const NOTIFICATIONS = `
  select t.coordinator_id::text as key, t.transition as expected, '' as transaction, ${millis("t.at")} as at
  from chaos.told t
  left join outbox.events e on e.topic = 'notification-mail'
    and e.key = t.coordinator_id::text and e.record ->> 'event_id' = t.event_id::text
  order by e.version nulls last, t.place`

const ORDERS = `
  select order_id::text as key, 'confirmed' as expected, transaction, ${millis("at")} as at
  from chaos.placed order by place`

const CONFIRMATIONS = `
  select e.event_id as "eventId", c.order_id::text as key, c.what as listener, 'confirmed' as said, 1 as version,
    ${millis("c.at")} as "createdAt", ${millis("c.at")} as at
  from chaos.confirmations c
  left join outbox.events e on e.topic = 'order-created' and e.key = c.order_id::text
  order by c.place`

const FALLS = `
  select item_id::text as key, concat_ws(' of ', quantity, threshold) as expected, transaction, ${millis("at")} as at
  from chaos.stock_changes
  where quantity < threshold and (old_quantity is null or old_quantity >= old_threshold or old_quantity < 0)
  order by place`

const TASKS = `
  select t.event_id as "eventId", t.item_id::text as key, l.listener, t.said, e.version::int,
    ${millis("t.at")} as "createdAt", ${millis("t.at")} as at
  from chaos.tasks t
  left join outbox.events e on e.event_id = t.event_id
  cross join lateral (
    select 'everybody' as listener
    union all
    select 'manager' from public.inventory_notifications n where n.event_id = t.event_id
  ) as l
  order by t.place`

const DEALS = `
  select opportunity_id::text as key, concat_ws(' ', coalesce(old_stage, 'new'), 'to', stage, 'of', amount) as expected,
    transaction, ${millis("at")} as at
  from chaos.deals order by place`

const TOLD_DEALS = `
  select event_id as "eventId", opportunity_id::text as key, 'everybody' as listener, said, version::int,
    ${millis("at")} as "createdAt", ${millis("at")} as at
  from chaos.told_deals order by place`

const COUNTERS = `
  with last as (
    select distinct on (d.opportunity_id) d.stage, d.amount from chaos.deals d order by d.opportunity_id, d.place desc
  ), recount as (
    select s.stage, s.outcome, count(l.stage) as deals, coalesce(sum(l.amount), 0) as value
    from public.pipeline_stages s
    left join last l on l.stage = s.stage
    group by s.stage, s.outcome
  ), metrics as (
    select
      coalesce(sum(deals) filter (where outcome = 'won'), 0) as won,
      coalesce(sum(deals) filter (where outcome = 'lost'), 0) as lost,
      coalesce(sum(value) filter (where outcome = 'won'), 0) as revenue
    from recount
  )
  select s.stage as name, concat_ws(' deals of ', s.opportunities, trim_scale(s.value)) as counted,
    concat_ws(' deals of ', r.deals, trim_scale(r.value)) as recounted
  from public.pipeline_stages s
  join recount r on r.stage = s.stage
  union all
  select 'metrics',
    concat_ws(' ', m.deals_won, m.deals_lost, trim_scale(m.revenue), m.win_rate),
    concat_ws(' ', x.won, x.lost, trim_scale(x.revenue), round(x.won / nullif(x.won + x.lost, 0), 4))
  from public.sales_metrics m, metrics x`

interface Counter {
  readonly name: string
  readonly counted: string
  readonly recounted: string
}

const addressee = ({ to }: Mail): string => (to[0] ?? "").split("@")[0] ?? ""

const isOfOrder = ({ to }: Mail): boolean => to[0]?.endsWith("@orders.example.com") === true

const versionsOf = async (session: Session, topic: string): Promise<ReadonlyMap<string, Known>> => {
  const rows = await rowsOf<Known & { readonly eventId: string }>(
    session,
    `select event_id as "eventId", key, version::int from outbox.events where topic = $1`,
    [topic]
  )
  return new Map(rows.map((row) => [row.eventId, row]))
}

const saidIn = ({ subject }: Mail): string => (/paused/.test(subject) ? "PAUSE" : "RESUME")

const readMails = async ({ resendUrl }: Stack): Promise<ReadonlyArray<Mail>> =>
  (await fetch(`${resendUrl}/mails.json`)).json()

interface Invoice {
  readonly eventId: string
  readonly key: string
  readonly url: string | null
}

const INVOICES = `
  select e.event_id as "eventId", o.id::text as key, o.invoice_url as url
  from public.orders o left join outbox.events e on e.topic = 'order-created' and e.key = o.id::text`

/** The invoices that an order links to. */
const readInvoices = async (session: Session): Promise<ReadonlyArray<Told>> => {
  const found: Array<Told> = []
  for (const { eventId, key, url } of await rowsOf<Invoice>(session, INVOICES)) {
    if (url === null) continue
    const text = await (await fetch(url)).text()
    if (!text.startsWith("%PDF-")) continue
    found.push({ eventId, key, listener: "PDF", said: "confirmed", version: 1, createdAt: 0, at: 0 })
  }
  return found
}

const STEPS_OF_AN_ORDER = new Set(["invoice_url", "confirmed", "confirmation_sent_at", "mail", "PDF"])
const THOSE_OF_A_FALL = new Set(["everybody", "manager"])

/** Files that do not belong to any order. */
const strayFiles = ({ storage }: Stack, orders: ReadonlyArray<Transition>): ReadonlyArray<Violation> => {
  const known = new Set(orders.map(({ key }) => `invoices/${key}.pdf`))
  return [...storage.uploads.keys()]
    .filter((file) => !known.has(file))
    .map((file) => ({ kind: "untrue", topic: "order-created", key: file, version: 0, detail: "belongs to no order" }))
}

const wrongCounters = async (session: Session): Promise<ReadonlyArray<Violation>> =>
  (await rowsOf<Counter>(session, COUNTERS))
    .filter(({ counted, recounted }) => counted !== recounted)
    .map(({ counted, name, recounted }) => ({
      kind: "untrue",
      topic: "opportunity-stage",
      key: name,
      version: 0,
      detail: `counted ${counted}, but it is ${recounted}`
    }))

/** Everything that the verdict needs: what was committed, what was done, and mails and files outside the database. */
export const readExampleEvidence = async (session: Session, { stack }: System, forced: ReadonlySet<string>) => {
  const mails = await readMails(stack)
  const mailVersions = await versionsOf(session, "notification-mail")
  const notified = mails
    .filter((mail) => !isOfOrder(mail))
    .map((mail): Told => {
      const { createdAt, idempotencyKey: eventId } = mail
      const version = mailVersions.get(eventId)?.version ?? 0
      return {
        eventId,
        key: addressee(mail),
        listener: "everybody",
        said: saidIn(mail),
        version,
        createdAt,
        at: createdAt
      }
    })
  const orderMails = mails.filter(isOfOrder).map((mail): Told => {
    const { createdAt, idempotencyKey } = mail
    const eventId = idempotencyKey.split("/")[0] ?? ""
    return { eventId, key: addressee(mail), listener: "mail", said: "confirmed", version: 1, createdAt, at: createdAt }
  })
  const orders = await rowsOf<Transition>(session, ORDERS)
  const topics: ReadonlyArray<Evidence> = [
    await readPauseStatus(session),
    {
      ...(await readTopic(session, "notification-mail")),
      forced,
      transitions: await rowsOf<Transition>(session, NOTIFICATIONS),
      told: notified,
      listenersOf: () => everybody
    },
    {
      ...(await readTopic(session, "order-created")),
      forced,
      transitions: orders,
      told: [...orderMails, ...(await rowsOf<Told>(session, CONFIRMATIONS)), ...(await readInvoices(session))],
      listenersOf: () => STEPS_OF_AN_ORDER
    },
    {
      ...(await readTopic(session, "inventory-low")),
      forced,
      transitions: await rowsOf<Transition>(session, FALLS),
      told: await rowsOf<Told>(session, TASKS),
      listenersOf: () => THOSE_OF_A_FALL
    },
    {
      ...(await readTopic(session, "opportunity-stage")),
      forced,
      transitions: await rowsOf<Transition>(session, DEALS),
      told: await rowsOf<Told>(session, TOLD_DEALS),
      listenersOf: () => everybody
    }
  ]
  return { topics, violations: [...strayFiles(stack, orders), ...(await wrongCounters(session))] }
}
