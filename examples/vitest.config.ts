import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"

const entry = (name: string): string => fileURLToPath(new URL(`../src/entries/${name}.ts`, import.meta.url))

export default defineConfig({
  // What an app that installs the package gets from its tarball.
  resolve: {
    alias: [
      { find: /^pause-status-webhook-handler$/, replacement: entry("index") },
      { find: /^pause-status-webhook-handler\/([a-z]+)$/, replacement: entry("$1") }
    ]
  },
  test: {
    name: "examples",
    include: ["**/*.test.ts"],
    exclude: [...configDefaults.exclude, "larger-app/**"],
    // No limit is an assertion of speed.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 120_000,
    maxWorkers: 2
  }
})
