import { relative } from "node:path"
import type { TestSpecification } from "vitest/node"

/** How long the long files take on two quiet cores, in seconds: for their order, and to say how long it will take. */
const known: Readonly<Record<string, number>> = {
  "integration/chaos": 52,
  "integration/circuit": 38,
  "integration/start": 33,
  "integration/fuzz": 32,
  "integration/sql/versions": 27,
  "local/lifecycle": 26,
  "integration/withoutPgNet": 26,
  "integration/rotation": 24,
  "integration/lostRequests": 23,
  "integration/orchestratorFailures": 22,
  "integration/crashes": 21,
  "integration/bursts": 20,
  "local/cron": 17,
  "integration/sql/direct": 16,
  "integration/sql/unacknowledged": 14,
  "integration/sql/ownTables": 14,
  "integration/sql/hostile": 14,
  "integration/settings": 14,
  "integration/sql/outages": 13,
  "integration/cli": 12,
  "integration/sql/erase": 11,
  "integration/sql/installation": 11,
  "integration/sql/retention": 11,
  "local/functions": 10
}

const tests = new URL("../", import.meta.url).pathname

/** A file's name without what all of them have. */
export const nameOf = (moduleId: string): string => relative(tests, moduleId).replace(/\.test\.ts$/, "")

export const secondsOf = ({ moduleId, project }: TestSpecification): number =>
  known[nameOf(moduleId)] ?? (project.name === "stack" ? 4 : 0.2)
