import { createHash, randomUUID } from "node:crypto"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { exists, noSuchBucket, noSuchKey } from "./refusals.ts"
import { codeOf } from "../StackError.ts"

export interface Bucket {
  readonly id: string
  readonly public: boolean
  readonly fileSizeLimit: number | null
  readonly allowedMimeTypes: ReadonlyArray<string> | null
}

/** An object's metadata. */
interface Facts {
  readonly id: string
  readonly contentType: string
  readonly cacheControl: string
  readonly etag: string
  readonly savedAt: string
}

export interface Upload {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly cacheControl: string
}

export interface Files {
  readonly createBucket: (bucket: Bucket) => Promise<void>
  readonly bucket: (id: string) => Promise<Bucket>
  /** Replaces an object only if `upsert`. */
  readonly save: (bucket: string, key: string, upload: Upload, upsert: boolean) => Promise<Facts>
  readonly facts: (bucket: string, key: string) => Promise<Facts>
  readonly bytes: (bucket: string, key: string) => Promise<Uint8Array<ArrayBuffer>>
}

const orElse = (cause: unknown, code: string, refusal: Error): Error =>
  codeOf(cause) === code ? refusal : cause instanceof Error ? cause : new Error(String(cause))

const place = async (path: string, content: Uint8Array | string): Promise<void> => {
  const unfinished = `${path}.${randomUUID()}`
  await writeFile(unfinished, content)
  await rename(unfinished, path)
}

const describe = async (path: string, told: Facts, upsert: boolean): Promise<void> => {
  const text = JSON.stringify(told)
  if (upsert) return place(`${path}.json`, text)
  await writeFile(`${path}.json`, text, { flag: "wx" }).catch((cause: unknown) =>
    Promise.reject(orElse(cause, "EEXIST", exists("KeyAlreadyExists")))
  )
}

/** Buckets and objects in a folder: the bytes as received, and their metadata in a .json file. */
export const openFiles = (directory: string): Files => {
  const bucketFile = (id: string) => join(directory, `${encodeURIComponent(id)}.json`)
  // One file name for the whole key, because a key may be the prefix of another.
  const objectFile = (bucket: string, key: string) =>
    join(directory, encodeURIComponent(bucket), createHash("sha256").update(key).digest("hex"))

  const facts: Files["facts"] = (bucket, key) =>
    readFile(`${objectFile(bucket, key)}.json`, "utf8").then(
      (text) => JSON.parse(text),
      (cause: unknown) => Promise.reject(orElse(cause, "ENOENT", noSuchKey()))
    )

  return {
    facts,
    createBucket: async (bucket) => {
      await mkdir(join(directory, encodeURIComponent(bucket.id)), { recursive: true })
      await writeFile(bucketFile(bucket.id), JSON.stringify(bucket), { flag: "wx" }).catch((cause: unknown) =>
        Promise.reject(orElse(cause, "EEXIST", exists("BucketAlreadyExists")))
      )
    },
    bucket: (id) =>
      readFile(bucketFile(id), "utf8").then(
        (text) => JSON.parse(text),
        (cause: unknown) => Promise.reject(orElse(cause, "ENOENT", noSuchBucket()))
      ),
    save: async (bucket, key, { bytes, cacheControl, contentType }, upsert) => {
      const path = objectFile(bucket, key)
      const etag = `"${createHash("md5").update(bytes).digest("hex")}"`
      const saved = { id: randomUUID(), contentType, cacheControl, etag, savedAt: new Date().toISOString() }
      await describe(path, saved, upsert)
      await place(path, bytes)
      return saved
    },
    bytes: async (bucket, key) => {
      await facts(bucket, key)
      return new Uint8Array(await readFile(objectFile(bucket, key)))
    }
  }
}
