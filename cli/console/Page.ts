import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { cannotRun } from "../Failure.ts"
import { PackageRoot } from "../Release.ts"

const TYPES: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript", css: "text/css" }

/** A file of the page. */
export interface PageFile {
  readonly type: string
  readonly text: string
}

/** The built page, by file name. */
export class Page extends Context.Service<Page, ReadonlyMap<string, PageFile>>()(
  "pause-status-webhook-handler/cli/console/Page"
) {
  static readonly layer = Layer.effect(
    Page,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const folder = path.join(yield* PackageRoot, "dist", "console")
      const files = yield* Effect.forEach(yield* fs.readDirectory(folder), (name) =>
        Effect.map(fs.readFileString(path.join(folder, name)), (text): readonly [string, PageFile] => [
          name,
          { type: TYPES[path.extname(name).slice(1)] ?? "text/plain", text }
        ])
      )
      return new Map(files)
    }).pipe(
      Effect.catchTag("PlatformError", ({ message }) =>
        Effect.fail(
          cannotRun(
            `The page is missing: ${message}.`,
            "In a checkout, run npm run build first. Otherwise, install the package again."
          )
        )
      )
    )
  )
}
