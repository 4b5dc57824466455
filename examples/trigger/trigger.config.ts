import { defineConfig } from "@trigger.dev/sdk"

export default defineConfig({
  project: process.env["TRIGGER_PROJECT_REF"] ?? "proj_replace_me",
  dirs: ["./tasks"],
  maxDuration: 300,
  retries: {
    enabledInDev: true,
    default: { maxAttempts: 5, minTimeoutInMs: 1_000, maxTimeoutInMs: 60_000, factor: 2, randomize: true }
  }
})
