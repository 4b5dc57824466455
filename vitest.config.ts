import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          // Pure files that share nothing: importing Effect once instead of once a file is most of the time.
          isolate: false,
          include: ["test/*.test.ts", "test/{schema,services,layers}/**/*.test.ts"]
        }
      },
      {
        test: {
          name: "stack",
          include: ["test/{local,integration}/**/*.test.ts"],
          globalSetup: ["test/support/globalSetup.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
