import { type Call, jsonReply, objectsIn, type Treatment } from "../calls.ts"
import { type Faults, type Kinds, REFUSAL } from "../Faults.ts"
import type { ChaosOptions } from "../options.ts"
import { orderFaults } from "../orderFaults.ts"
import type { Random } from "../random.ts"
import type { System } from "../system.ts"

const RESEND_FAULTS = ["500", "429", "hang", "reset", "lost"] as const
const STORAGE_FAULTS = [500, 503, "disconnect", "do and disconnect"] as const

// Longer than send-email waits. Resend would keep a hanging request, and its key, forever.
const LONGEST_MAIL_MILLISECONDS = 2_500

const pass: Treatment = (call, forward) => forward(call)

const limited =
  (treat: Treatment): Treatment =>
  (call, forward) =>
    treat(call, (sent) => forward(sent, AbortSignal.timeout(LONGEST_MAIL_MILLISECONDS)))

const headerOf = ({ headers }: Call, name: string): string =>
  headers[headers.findIndex((word, at) => at % 2 === 0 && word.toLowerCase() === name) + 1] ?? ""

/** Refusals that make dead letters, as the database gives them for a deleted row. Adds the events to `refused`. */
const refuseEffect =
  (refused: Set<string>): Treatment =>
  async (call, forward) => {
    const [{ event, order_id: orderId } = {}] = objectsIn(call.body)
    const [{ eventId, event_id: id } = {}] = objectsIn(Buffer.from(JSON.stringify(event ?? {})))
    if (call.path.endsWith("/reorder_item")) {
      refused.add(String(eventId))
      return jsonReply(200, { outcome: "item_gone" })
    }
    if (call.path.endsWith("/move_opportunity")) {
      refused.add(String(id))
      return jsonReply(200, { outcome: "unknown_stage", stages: "none" })
    }
    if (call.path.endsWith("/order_to_confirm")) {
      refused.add(String(orderId))
      return jsonReply(200, null)
    }
    return forward(call)
  }

/** What may happen to the examples' effects, mails, invoices and files. */
export const endanger = (faults: Faults, random: Random, system: System, kinds: ChaosOptions["faults"]): void => {
  if (!kinds.includes("order")) return
  const { refused } = faults
  const common = (name: string) => orderFaults(random.fork(name), refused)

  faults.put("effect", 0.05, { ...common("effects"), [REFUSAL]: refuseEffect(refused) })
  faults.put("invoice", 0.08, {
    ...common("invoices"),
    [REFUSAL]: async ({ body }) => {
      for (const { order_id: orderId } of objectsIn(body)) refused.add(String(orderId))
      return jsonReply(422, { code: "invalid_order", detail: "injected" })
    }
  })
  const resend = Object.fromEntries(
    RESEND_FAULTS.map((fault): [string, Treatment] => [
      `Resend: ${fault}`,
      async (call, forward) => {
        await fetch(`${system.stack.resendUrl}/faults/${fault}`, { method: "POST" })
        return forward(call)
      }
    ])
  )
  const mailFaults: Kinds = {
    ...common("mails"),
    ...resend,
    [REFUSAL]: async (call) => {
      refused.add(headerOf(call, "idempotency-key").split("/")[0] ?? "")
      return jsonReply(422, { statusCode: 422, name: "validation_error", message: "injected" })
    }
  }
  const mails = Object.entries(mailFaults).map(([name, treat]) => [name, limited(treat)] as const)
  faults.put("mail", 0.12, Object.fromEntries(mails), limited(pass))
  const storage = Object.fromEntries(
    STORAGE_FAULTS.map((fault): [string, Treatment] => [
      `Storage: ${fault}`,
      async (call, forward) => {
        system.stack.storage.fail(fault)
        return forward(call)
      }
    ])
  )
  faults.put("storage", 0.08, storage, pass)
}
