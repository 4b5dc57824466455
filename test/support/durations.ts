import { relative } from "node:path"
import type { TestSpecification } from "vitest/node"

/** How long the long files take when four run at once on two cores, in seconds: for their order, and for the forecast. */
const known: Readonly<Record<string, number>> = {
  "integration/start": 95,
  "integration/chaos": 90,
  "integration/fuzz": 74,
  package: 71,
  "browser/usability": 67,
  "integration/documentedCommands": 47,
  "integration/circuit": 45,
  "integration/sql/ownTables": 45,
  "browser/console": 40,
  "integration/sql/unacknowledged": 33,
  "integration/install": 32,
  "integration/sql/watchTables": 28,
  "integration/rotation": 24,
  "integration/lostRequests": 24,
  "integration/sql/installation": 24,
  "integration/orchestratorFailures": 23,
  "integration/sql/outages": 23,
  "integration/bursts": 22,
  "integration/withoutPgNet": 21,
  "local/lifecycle": 21,
  "integration/crashes": 21,
  "local/functions": 21,
  "integration/doctor": 20,
  "integration/sql/sessionSettings": 20,
  "integration/sharedSecret": 19,
  "integration/sql/traces": 19,
  "local/cron": 17,
  "integration/doctorViews": 17,
  "integration/sql/misfits": 17,
  "integration/continues": 16,
  "integration/sql/versions": 15,
  "integration/sql/retention": 15,
  "integration/sql/alerts": 15,
  "integration/sql/erase": 14,
  "integration/mail": 14,
  "local/mail": 14,
  "integration/sql/watch": 14,
  "integration/sql/batches": 13,
  "integration/sql/isolation": 13,
  "integration/sql/restore": 13,
  "integration/settings": 12,
  "integration/sql/concurrency": 12,
  "integration/sql/reconcile": 12,
  "integration/sql/hostile": 11,
  "integration/runtimes": 11,
  "integration/secrecy": 11,
  "integration/sql/erasedTraces": 11,
  "integration/DedupeStoreSupabase": 10,
  "integration/console": 10,
  "integration/secrets": 10
}

const tests = new URL("../", import.meta.url).pathname

/** A file's name without what all of them have. */
export const nameOf = (moduleId: string): string => relative(tests, moduleId).replace(/\.test\.ts$/, "")

export const secondsOf = ({ moduleId, project }: TestSpecification): number =>
  known[nameOf(moduleId)] ?? (project.name === "stack" ? 4 : 0.4)
