import { defineConfig } from "vitest/config"
import { LongestFirst } from "./test/support/LongestFirst.ts"
import { keepDataInMemory } from "./test/support/memory.ts"
import { progress } from "./test/support/progress.ts"

keepDataInMemory()

// On CI's shared machines a test may try once more; the report names it. On your own machine the first failure counts.
const retry = process.env["CI"] === undefined ? 0 : 1

// No limit is an assertion of speed: they are for machines many times slower than ours.
export default defineConfig({
  test: {
    teardownTimeout: 120_000,
    // Files wait for timers and processes as much as they compute, so four at a time even on two cores.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ["default", progress()],
    projects: [
      {
        test: {
          name: "unit",
          // Pure files that share nothing: importing Effect once instead of once a file is most of the time.
          isolate: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          include: ["test/*.test.ts", "test/{schema,services,topics,layers,cli,console}/**/*.test.ts"],
          exclude: ["test/package.test.ts"]
        }
      },
      {
        test: {
          name: "console",
          include: ["test/browser/**/*.test.ts"],
          // A browser on a busy machine may lose a click.
          retry: 1,
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      },
      {
        test: {
          name: "package",
          include: ["test/package.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      },
      {
        test: {
          name: "stack",
          include: ["test/{local,integration}/**/*.test.ts"],
          globalSetup: ["test/support/globalSetup.ts"],
          // Each file opens what it needs and closes it again; only what it imports is shared.
          isolate: false,
          retry,
          // Longer than a test waits for anything.
          testTimeout: 300_000,
          hookTimeout: 300_000
        }
      }
    ]
  }
})
