import { relative } from "node:path"
import type { TestSpecification } from "vitest/node"

/** How long the long files take when four run at once on two cores, in seconds: for their order, and for the forecast. */
const known: Readonly<Record<string, number>> = {
  "integration/start": 100,
  package: 86,
  "integration/fuzz": 77,
  "browser/usability": 66,
  "integration/chaos": 61,
  "integration/documentedCommands": 53,
  "integration/circuit": 40,
  "browser/console": 39,
  "integration/install": 35,
  "integration/mailLimit": 27,
  "local/lifecycle": 26,
  "integration/lostRequests": 25,
  "integration/rotation": 25,
  "integration/crashes": 23,
  "integration/bursts": 22,
  "integration/orchestratorFailures": 22,
  "integration/doctor": 22,
  "integration/sql/ownTables": 20,
  "integration/withoutPgNet": 19,
  "integration/sql/unacknowledged": 18,
  "integration/sharedSecret": 17,
  "local/cron": 17,
  "integration/sql/hostile": 17,
  "integration/sql/watchTables": 15,
  "local/functions": 15,
  "integration/doctorViews": 14,
  "integration/settings": 14,
  "integration/sql/sessionSettings": 14,
  "integration/sql/traces": 11,
  "integration/mail": 11,
  "integration/sql/healthWork": 10,
  "integration/cli": 10,
  "integration/sql/direct": 10,
  "integration/secrecy": 9,
  "integration/sql/isolation": 9,
  "integration/secrets": 8,
  "integration/DedupeStoreSupabase": 8,
  "integration/sql/concurrency": 8,
  "integration/dashboard": 8,
  "integration/console": 7,
  "integration/sql/outages": 7,
  "integration/sql/installation": 7,
  "integration/continues": 6,
  "integration/sql/versions": 6,
  "integration/runtimes": 6
}

const tests = new URL("../", import.meta.url).pathname

/** A file's name without what all of them have. */
export const nameOf = (moduleId: string): string => relative(tests, moduleId).replace(/\.test\.ts$/, "")

export const secondsOf = ({ moduleId, project }: TestSpecification): number =>
  known[nameOf(moduleId)] ?? (project.name === "stack" ? 2.5 : 0.2)
