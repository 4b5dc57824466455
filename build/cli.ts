// Bundles the command pause-status into one file, so that an install of the package brings no further dependency.
import { build, type BuildOptions } from "esbuild"
import { chmod } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

// pg is CommonJS: esbuild leaves it a require() for what Node brings.
const banner = `#!/usr/bin/env node
import { createRequire as createRequireOfNode } from "node:module"
const require = createRequireOfNode(import.meta.url)`

const settings: BuildOptions = {
  absWorkingDir: root,
  entryPoints: ["cli/main.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "node",
  target: "node22",
  external: ["pg-native"],
  banner: { js: banner },
  legalComments: "none",
  logLevel: "warning"
}

/** Builds the command, at `dist/cli.mjs` or elsewhere. */
export const buildCli = async (outfile = join(root, "dist/cli.mjs")): Promise<void> => {
  await build({ ...settings, outfile })
  await chmod(outfile, 0o755)
}

if (import.meta.main) await buildCli()
