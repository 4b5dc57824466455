import type { Reporter, TestModule, TestSpecification, Vitest } from "vitest/node"
import { nameOf, secondsOf } from "./durations.ts"

const INTERVAL_MILLISECONDS = 15_000
const AT_ONCE = 4

const inWords = (seconds: number): string =>
  seconds < 90 ? `${Math.max(5, Math.ceil(seconds / 5) * 5)} seconds` : `${Math.round(seconds / 60)} minutes`

const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`

/** Says at the start what there is to do and about how long it takes, and then again and again how far it is. */
export const progress = (): Reporter => {
  const running = new Set<string>()
  let say: (text: string) => void = console.log
  let timer: NodeJS.Timeout | undefined
  let files = 0
  let done = 0
  return {
    onInit: ({ logger }: Vitest) => {
      say = (text) => logger.log(text)
    },
    onTestRunStart: (specifications: ReadonlyArray<TestSpecification>) => {
      const startedAt = performance.now()
      files = specifications.length
      done = 0
      running.clear()
      const seconds = specifications.map(secondsOf)
      const total = Math.max(...seconds, 10 + seconds.reduce((sum, one) => sum + one, 0) / AT_ONCE)
      const withStack = specifications.filter(({ project }) => project.name === "stack").length
      say(
        ` ${files} test files, of which ${withStack} need the embedded stack: about ${inWords(total)} on two quiet cores.` +
          " Each is named when it is done.\n"
      )
      timer = setInterval(() => {
        const names = [...running].toSorted().join(", ")
        say(` ${clock((performance.now() - startedAt) / 1_000)}  ${done} of ${files} files done; now: ${names}`)
      }, INTERVAL_MILLISECONDS)
      timer.unref()
    },
    onTestModuleStart: ({ moduleId }: TestModule) => void running.add(nameOf(moduleId)),
    onTestModuleEnd: ({ moduleId }: TestModule) => {
      running.delete(nameOf(moduleId))
      done++
    },
    onTestRunEnd: () => clearInterval(timer)
  }
}
