import { assert, describe, it } from "@effect/vitest"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isBuilt, recordBuild } from "../build/record.ts"

/** A project whose one source was built. */
const project = async () => {
  const root = await mkdtemp(join(tmpdir(), "record-"))
  await mkdir(join(root, "build"))
  for (const name of ["build.ts", "package.json", "package-lock.json", "tsconfig.json", "build/step.ts"]) {
    await writeFile(join(root, name), name)
  }
  await writeFile(join(root, "source.ts"), "source")
  await writeFile(join(root, "made.mjs"), "made")
  return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) }
}

describe("the record of a build", () => {
  it("does not consider an unbuilt project built", async () => {
    await using made = await project()
    assert.isFalse(await isBuilt(made.root))
  })

  it("considers an unchanged project built", async () => {
    await using made = await project()
    await recordBuild(made.root, ["source.ts"], ["made.mjs"])
    assert.isTrue(await isBuilt(made.root))
  })

  it.each(["source.ts", "made.mjs", "build.ts", "build/step.ts", "build/another.ts", "package-lock.json"])(
    "needs another build if this file changes: %s",
    async (name) => {
      await using made = await project()
      await recordBuild(made.root, ["source.ts"], ["made.mjs"])
      await writeFile(join(made.root, name), "another")
      assert.isFalse(await isBuilt(made.root))
    }
  )

  it.each(["source.ts", "made.mjs", "build/step.ts"])(
    "needs another build if this file is missing: %s",
    async (name) => {
      await using made = await project()
      await recordBuild(made.root, ["source.ts"], ["made.mjs"])
      await rm(join(made.root, name))
      assert.isFalse(await isBuilt(made.root))
    }
  )
})
