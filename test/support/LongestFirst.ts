import { BaseSequencer, type TestSpecification } from "vitest/node"
import { secondsOf } from "./durations.ts"

/** What takes long begins at once, so that at the end nobody waits for one file that began last. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    return files.toSorted((one, other) => secondsOf(other) - secondsOf(one))
  }
}
