import { expect } from "vitest"

/** `expect.poll` with time enough for a slow machine; a test that passes never waits that long. */
export const eventually = <A>(read: () => A) => expect.poll<A>(read, { timeout: 30_000 })
