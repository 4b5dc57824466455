// The stand-in for Resend as a process of the stack.
import { startResend } from "./server.ts"

const { RESEND_API_KEY = "", RESEND_FOLDER = "", RESEND_PORT, RESEND_REQUESTS_PER_SECOND } = process.env

process.on("SIGTERM", () => process.exit(0))

await startResend({
  apiKey: RESEND_API_KEY,
  folder: RESEND_FOLDER,
  port: Number(RESEND_PORT),
  requestsPerSecond: Number(RESEND_REQUESTS_PER_SECOND),
  log: console.log
})
console.log("ready")
