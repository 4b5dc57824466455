import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"
import { keepDataInMemory } from "../test/support/memory.ts"

keepDataInMemory()

const entry = (name: string): string => fileURLToPath(new URL(`../src/entries/${name}.ts`, import.meta.url))

export default defineConfig({
  // The same files that an app gets from the package's tarball.
  resolve: {
    alias: [
      { find: /^pause-status-webhook-handler$/, replacement: entry("index") },
      { find: /^pause-status-webhook-handler\/([a-z]+)$/, replacement: entry("$1") }
    ]
  },
  test: {
    name: "examples",
    globalSetup: ["support/globalSetup.ts"],
    include: ["**/*.test.ts"],
    exclude: [...configDefaults.exclude, "larger-app/**"],
    // Time limits do not assert speed.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 120_000,
    maxWorkers: 2
  }
})
