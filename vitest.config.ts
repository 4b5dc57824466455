import { defineConfig } from "vitest/config"

// No limit is an assertion of speed: they are for machines many times slower than ours.
export default defineConfig({
  test: {
    teardownTimeout: 120_000,
    // Files wait for timers more than they compute, so two at a time even on two cores.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          // Pure files that share nothing: importing Effect once instead of once a file is most of the time.
          isolate: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          include: ["test/*.test.ts", "test/{schema,services,topics,layers}/**/*.test.ts"]
        }
      },
      {
        test: {
          name: "stack",
          include: ["test/{local,integration}/**/*.test.ts"],
          globalSetup: ["test/support/globalSetup.ts"],
          // Longer than a test waits for anything.
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      }
    ]
  }
})
