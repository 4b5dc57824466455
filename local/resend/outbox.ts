import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Mail } from "./mail.ts"

/** A mail that was accepted. */
export interface StoredMail extends Mail {
  readonly id: string
  readonly createdAt: number
  readonly idempotencyKey?: string
}

interface Entry {
  readonly mail: StoredMail
  readonly digest: string
}

export interface Outbox {
  /** Newest last. */
  readonly mails: () => ReadonlyArray<StoredMail>
  readonly find: (id: string) => StoredMail | undefined
  /** What was sent under the key in the last 24 hours. **Shape** `same` says whether it had the same body. */
  readonly remembered: (key: string, body: string) => { readonly id: string; readonly same: boolean } | undefined
  readonly keep: (mail: StoredMail, body: string) => void
}

const REMEMBERED_MILLISECONDS = 24 * 60 * 60 * 1_000

const digestOf = (body: string): string => createHash("sha256").update(body).digest("hex")

const load = (folder: string): ReadonlyArray<Entry> =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name): Entry => JSON.parse(readFileSync(join(folder, name), "utf8")))
    .toSorted((one, other) => one.mail.createdAt - other.mail.createdAt)

/** Accepted mails in a folder, each as .json, .html and .txt: what was accepted survives a crash. */
export const openOutbox = (folder: string, now: () => number): Outbox => {
  mkdirSync(folder, { recursive: true })
  const entries = new Map<string, Entry>()
  const byKey = new Map<string, Entry>()
  const add = (entry: Entry): void => {
    const { id, idempotencyKey } = entry.mail
    entries.set(id, entry)
    if (idempotencyKey !== undefined) byKey.set(idempotencyKey, entry)
  }
  for (const entry of load(folder)) add(entry)

  return {
    mails: () => [...entries.values()].map(({ mail }) => mail),
    find: (id) => entries.get(id)?.mail,
    remembered: (key, body) => {
      const found = byKey.get(key)
      if (found === undefined || found.mail.createdAt + REMEMBERED_MILLISECONDS <= now()) return undefined
      return { id: found.mail.id, same: found.digest === digestOf(body) }
    },
    keep: (mail, body) => {
      const entry = { mail, digest: digestOf(body) }
      const path = join(folder, mail.id)
      if (mail.html !== undefined) writeFileSync(`${path}.html`, mail.html)
      if (mail.text !== undefined) writeFileSync(`${path}.txt`, mail.text)
      // The mail is accepted when this file is there, whole.
      writeFileSync(`${path}.part`, JSON.stringify(entry))
      renameSync(`${path}.part`, `${path}.json`)
      add(entry)
    }
  }
}
