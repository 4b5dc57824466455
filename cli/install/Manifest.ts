import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { Watched } from "./Watched.ts"

/** Its path below `supabase`. It belongs in version control, like the files that it lists. */
export const MANIFEST = ".pause-status.json"

/** What was installed: the SHA-256 of each file as written, by its path below `supabase`. */
export const Manifest = Schema.Struct({
  version: Schema.String,
  watched: Watched,
  files: Schema.Record(Schema.String, Schema.String)
})
export type Manifest = typeof Manifest.Type

const Json = Schema.fromJsonString(Manifest)

export const decode = Schema.decodeUnknownEffect(Json)

export const encode = (manifest: Manifest): string =>
  `${JSON.stringify(Schema.encodeSync(Manifest)(manifest), null, 2)}\n`

export const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex")
