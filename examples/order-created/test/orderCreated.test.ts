import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { verdict } from "../../../test/support/deliveries.ts"
import { eventually, redrive } from "../../../test/support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, type Proxy, replyWith } from "../../../test/support/proxy.ts"
import { startExample, type World } from "../../support/world.ts"

let world: World

// Every relevant change of an order, as committed.
const RECORD = `
  create table public.order_changes (id bigint generated always as identity, order_id uuid, what text);
  create function public.record_order_change() returns trigger language plpgsql security definer as $$
  begin
    if old.status <> new.status then
      insert into public.order_changes (order_id, what) values (new.id, new.status);
    end if;
    if old.invoice_url is distinct from new.invoice_url then
      insert into public.order_changes (order_id, what) values (new.id, 'invoice_url');
    end if;
    if old.confirmation_sent_at is distinct from new.confirmation_sent_at then
      insert into public.order_changes (order_id, what) values (new.id, 'confirmation_sent_at');
    end if;
    return null;
  end
  $$;
  create trigger record after update on public.orders for each row execute function public.record_order_change()`

beforeAll(async () => {
  world = await startExample("order-created")
  await world.database.rows(RECORD)
})
afterAll(() => world?.[Symbol.asyncDispose]())

interface NewOrder {
  readonly orderId: string
  readonly email: string
}

const newOrder = async (columns: Readonly<Record<string, string | null>> = {}): Promise<NewOrder> => {
  const orderId = randomUUID()
  const email = `ada+${orderId}@example.com`
  const row = { id: orderId, customer_name: "Ada Lovelace", customer_email: email, total: "25.00", ...columns }
  // One statement, because the event is sent at the commit, and the invoice needs the items.
  await world.database.rows(
    `with new_order as (
       insert into public.orders (id, customer_name, customer_email, total, currency, locale)
       select id, customer_name, customer_email, total, coalesce(currency, 'EUR'), coalesce(locale, 'en-IE')
       from jsonb_populate_record(null::public.orders, $1)
     )
     insert into public.order_items (order_id, position, description, quantity, unit_price)
     values ($2, 1, 'Coffee', 1, $3)`,
    [JSON.stringify(row), orderId, row.total]
  )
  return { orderId, email }
}

interface Mail {
  readonly to: ReadonlyArray<string>
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly idempotencyKey: string
}

const mailsTo = async (email: string): Promise<ReadonlyArray<Mail>> => {
  const mails: ReadonlyArray<Mail> = await (await fetch(`${world.stack.resendUrl}/mails.json`)).json()
  return mails.filter(({ to }) => to.includes(email))
}

const changesOf = (orderId: string) =>
  world.database.rows<{ what: string }>("select what from public.order_changes where order_id = $1 order by id", [
    orderId
  ])

const linkIn = ({ text }: Mail): string => /https?:\S+/.exec(text)?.[0] ?? ""

/** One PDF, one mail with a link to it, one change of the order. */
const expectConfirmedOnce = async ({ email, orderId }: NewOrder) => {
  const [event] = await world.settled(orderId)
  assert.strictEqual(event?.status, "completed", event?.last_error ?? "")
  const changes = await changesOf(orderId)
  assert.deepStrictEqual(
    changes.map(({ what }) => what),
    ["invoice_url", "confirmed", "confirmation_sent_at"]
  )
  const mails = await mailsTo(email)
  assert.lengthOf(mails, 1)
  const [mail] = mails
  assert.strictEqual(mail?.idempotencyKey, `${event?.event_id}/mail`)
  const [order] = await world.database.rows<{ invoice_url: string }>(
    "select invoice_url from public.orders where id = $1",
    [orderId]
  )
  if (event === undefined || mail === undefined || order === undefined) return assert.fail("no mail or no order")
  assert.strictEqual(linkIn(mail), order.invoice_url)
  return { event, mail, url: order.invoice_url }
}

describe("a new order", () => {
  it("gets an invoice, a mail with a link to it, and is confirmed", async () => {
    const order = await newOrder({ customer_name: "Ada <b>& Co", total: "90071992547409930.10" })
    const { mail, url } = await expectConfirmedOnce(order)
    assert.strictEqual(mail.subject, `Your order ${order.orderId.slice(0, 8)} is confirmed`)
    assert.include(mail.text, "€90,071,992,547,409,930.10")
    assert.include(mail.html, "Hello Ada &lt;b&gt;&amp; Co,")
    assert.include(mail.html, '<html lang="en">')
    const pdf = await (await fetch(url)).text()
    assert.isTrue(pdf.startsWith("%PDF-"))
  })

  it("gets its own when many arrive at once", async () => {
    const orders = await Promise.all(Array.from({ length: 12 }, () => newOrder()))
    await Promise.all(orders.map(expectConfirmedOnce))
  })

  it("gets no mail if it is cancelled first", async () => {
    const held = gate(hangUp)
    const email = `ada+${randomUUID()}@example.com`
    world.proxy.next("/rpc/order_to_confirm", "", held.step)
    const { orderId } = await newOrder({ customer_email: email })
    await held.reached
    await world.database.rows("update public.orders set status = 'cancelled' where id = $1", [orderId])
    held.open()
    const [event] = await world.settled(orderId)
    assert.deepStrictEqual(event?.receipt, { mail: "not sent: the order is cancelled" })
    assert.isEmpty(await mailsTo(email))
  })
})

const steps: ReadonlyArray<readonly [name: string, proxy: (world: World) => Proxy, path: string]> = [
  ["the order is read", ({ proxy }) => proxy, "/rpc/order_to_confirm"],
  ["the invoice is made", ({ proxy }) => proxy, "/functions/v1/generate-pdf"],
  ["the mail is sent", ({ mailProxy }) => mailProxy, "/emails"],
  ["the order is confirmed", ({ proxy }) => proxy, "/rpc/confirm_order"],
  ["the event is settled", ({ proxy }) => proxy, "/rpc/outbox_settle"]
]

describe("one PDF, one mail and one change", () => {
  it.each(steps)("when the function is killed before %s", async (_, proxyOf, path) => {
    const held = gate(hangUp)
    proxyOf(world).next(path, "", held.step)
    const order = await newOrder()
    await held.reached
    await world.service().kill("SIGKILL")
    held.open()
    const { event } = await expectConfirmedOnce(order)
    assert.isAtLeast(event.claims, 2)
  })

  it.each(steps)("when the function is killed after %s, and the event is delivered again", async (_, proxyOf, path) => {
    const held = gate(loseReply)
    proxyOf(world).next(path, "", held.step)
    const order = await newOrder()
    await held.reached
    held.open()
    await world.service().kill("SIGKILL")
    const { event } = await expectConfirmedOnce(order)
    await world.service().start()
    assert.strictEqual(await verdict(await world.deliver(event.event_id)), "409 already_processed")
    await expectConfirmedOnce(order)
  })

  it.each(steps.slice(0, 4))("when the answer is lost after %s", async (_, proxyOf, path) => {
    proxyOf(world).next(path, "", loseReply)
    await expectConfirmedOnce(await newOrder())
  })

  it("when a function is slow, and confirms the order after another one did", async () => {
    const held = gate()
    world.proxy.next("/rpc/confirm_order", "", held.step)
    const order = await newOrder()
    await held.reached
    const { event } = await expectConfirmedOnce(order)
    held.open()
    await eventually("the late settlement", () =>
      world.proxy.seen("/rpc/outbox_settle", event.event_id).length >= 2 ? true : undefined
    )
    await expectConfirmedOnce(order)
  })

  it("when the event became a dead letter although all was done, and is redriven without asking Resend", async () => {
    const open = gate()
    open.open()
    world.proxy.next("/rpc/confirm_order", "", loseReply)
    world.proxy.next("/rpc/order_to_confirm", "", open.step, replyWith(null))
    const order = await newOrder()
    const [dead] = await world.settled(order.orderId)
    assert.strictEqual(dead?.status, "failed")
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? ""), "redriven")
    await expectConfirmedOnce(order)
    assert.lengthOf(world.mailProxy.seen("/emails", order.email), 1)
  })

  it("when Resend and Storage are down for a while", async () => {
    world.mailProxy.next("/emails", "", answerWith(500), answerWith(503))
    world.proxy.next("/functions/v1/generate-pdf", "", answerWith(503))
    await expectConfirmedOnce(await newOrder())
  })
})

describe("an invalid row", () => {
  it.each([
    [{ customer_email: null }, "has no customer_email"],
    [{ customer_email: "nobody" }, "is not an email address"],
    [{ total: "NaN" }, "total"],
    [{ currency: "euro" }, "currency"]
  ])("such as %o becomes a dead letter that says why, and the next order is confirmed", async (columns, why) => {
    const bad = await newOrder(columns)
    const good = await newOrder()
    const [dead] = await world.settled(bad.orderId)
    assert.strictEqual(dead?.status, "failed")
    assert.include(dead?.last_error ?? "", why)
    assert.isEmpty(await mailsTo(bad.email))
    await expectConfirmedOnce(good)
  })

  it("is confirmed once it is corrected and the event is redriven", async () => {
    const { email, orderId } = await newOrder({ customer_email: null })
    const [dead] = await world.settled(orderId)
    await world.database.rows("update public.orders set customer_email = $2 where id = $1", [orderId, email])
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? ""), "redriven")
    await expectConfirmedOnce({ email, orderId })
  })
})
