import { logger, schedules } from "@trigger.dev/sdk"
import { rpc } from "../lib/database.ts"
import { callFunction } from "../lib/edgeFunction.ts"
import { isObject } from "../lib/json.ts"
import { step } from "../lib/step.ts"

/** At 08:00 UTC, mails the items below their reorder threshold to INVENTORY_MAIL_TO, once a day. */
export const dailyInventoryCheck = schedules.task({
  id: "daily-inventory-check",
  cron: "0 8 * * *",
  run: async ({ timestamp }) => {
    const answer = await rpc("low_stock", {})
    const low = (Array.isArray(answer) ? answer : []).filter(isObject)
    const lines = low.map(
      ({ name, quantity, reorder_threshold: threshold }) =>
        `${String(name)}: ${String(quantity)} left, reorder below ${String(threshold)}`
    )
    logger.info("items below their reorder threshold", { items: low.length })
    const to = process.env["INVENTORY_MAIL_TO"]
    if (low.length > 0 && to !== undefined && to !== "") {
      const day = timestamp.toISOString().slice(0, 10)
      const text = lines.join("\n")
      const html = `<pre>${text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</pre>`
      await step("daily-inventory-check", day, (key) =>
        callFunction("send-email", { to, subject: `Low stock on ${day}`, text, html }, key)
      )
    }
    return { low: lines }
  }
})
