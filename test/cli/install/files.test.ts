import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { apply, readProject } from "../../../cli/install/files.ts"
import { planInstall } from "../../../cli/install/plan.ts"
import { defaults } from "../../../cli/install/Watched.ts"
import { PackageRoot, Release } from "../../../cli/Release.ts"
import { makeRepository } from "../../support/repositories.ts"

const words = { ...defaults, paused: ["away"] } as const

describe("two runs at the same time", () => {
  const runs = Effect.fnUntraced(function* (isInstalled: boolean) {
    const repository = yield* makeRepository()
    if (isInstalled) yield* repository.run("install", "--yes")
    return yield* Effect.gen(function* () {
      const release = yield* Release
      // Both have read the project before either has written to it.
      const project = yield* readProject(repository.directory)
      const planAt = (now: number) => planInstall(project, release, { now, watched: words, pushed: true, mail: false })
      yield* apply(project, planAt(Date.UTC(2030, 0, 1)))
      const files = yield* repository.files
      const second = yield* Effect.flip(apply(project, planAt(Date.UTC(2030, 0, 2))))
      assert.match(second.message, /^Nothing was changed/)
      assert.deepStrictEqual(yield* repository.files, files)
    }).pipe(Effect.provide(Release.layer), Effect.provideService(PackageRoot, repository.root))
  }, Effect.provide(NodeServices.layer))

  it.effect("install once", () => runs(false))
  it.effect("add the migration with the new words once", () => runs(true))
})
