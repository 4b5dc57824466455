import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DenoVersion } from "../../local/programs.ts"
import { bundle, type Bundled, type Variant, variants } from "./bundle.ts"
import { denoPrograms } from "./coldStart.ts"
import { expectSameReplies } from "./equality.ts"
import { type Running, startStub, startVariant } from "./process.ts"

/** All variants, bundled, with the stub running. Their replies have been compared. */
export interface Variants extends AsyncDisposable {
  readonly bundles: ReadonlyMap<Variant, Bundled>
  readonly kinds: number
  readonly start: (variant: Variant, deno: DenoVersion, codeCache: boolean) => Promise<Running>
}

const startAll = async (start: Variants["start"], stack: AsyncDisposableStack) => {
  const all = new Map<string, Running>()
  for (const variant of variants) all.set(variant, stack.use(await start(variant, "2.1.4", true)))
  return all
}

export const prepareVariants = async (): Promise<Variants> => {
  await using started = new AsyncDisposableStack()
  const home = await mkdtemp(join(tmpdir(), "pause-status-bench-"))
  started.defer(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))

  const bundles = new Map<Variant, Bundled>()
  for (const variant of variants) bundles.set(variant, await bundle(variant, join(home, "bundles")))

  const stub = started.use(await startStub())
  const denos = await denoPrograms()
  const start: Variants["start"] = (variant, deno, codeCache) =>
    startVariant({
      deno: denos.get(deno) ?? "",
      bundle: bundles.get(variant)?.path ?? "",
      home: join(home, `deno-${deno}`),
      codeCache,
      stubPort: stub.port
    })

  await using compared = new AsyncDisposableStack()
  const kinds = await expectSameReplies(await startAll(start, compared))
  const kept = started.move()
  return { bundles, kinds, start, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
