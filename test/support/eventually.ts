import { expect } from "vitest"
import { patienceMillis } from "./patience.ts"

/** `expect.poll` with time enough for a slow machine; a test that passes never waits that long. */
export const eventually = <A>(read: () => A) => expect.poll<A>(read, { timeout: patienceMillis })
