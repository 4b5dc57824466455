import * as Result from "effect/Result"
import { type Failure, refused } from "../Failure.ts"

/** agree: both sides get the same secrets. rotate: add a new one next to the old. retire: remove the old one. */
export type Mode = "agree" | "rotate" | "retire"

export interface Rotation {
  /** Newest first. */
  readonly secrets: ReadonlyArray<string>
  /** The function learns a new secret before Postgres signs with it, and forgets an old one afterwards. */
  readonly first: "function" | "postgres"
  readonly what: string
}

/** The secrets in Vault's one text, split as `outbox.sign()` does. */
export const split = (text: string): ReadonlyArray<string> => text.split(/[\s,]+/).filter((secret) => secret !== "")

/** What both sides have afterwards. `fresh` is used if a new secret is needed. */
export const next = (mode: Mode, current: ReadonlyArray<string>, fresh: string): Result.Result<Rotation, Failure> => {
  if (!current.every((secret) => /^whsec_[A-Za-z0-9+/]+=*$/.test(secret)))
    return Result.fail(
      refused(
        "The secret in Vault is not of the form whsec_<base64>.",
        "Delete it: delete from vault.secrets where name = 'outbox_webhook_secret'. Then run this again."
      )
    )
  const [newest, ...older] = current
  if (newest === undefined) {
    if (mode !== "agree")
      return Result.fail(refused("There is no secret yet.", "Run npx pause-status secrets without flags first."))
    return Result.succeed({ secrets: [fresh], first: "function", what: "a new secret" })
  }
  switch (mode) {
    case "agree":
      return Result.succeed({ secrets: current, first: "function", what: "the secret that Postgres has" })
    case "rotate":
      if (older.length > 0)
        return Result.fail(
          refused(
            "There are two secrets already: a rotation is under way.",
            "Finish it: npx pause-status secrets --retire"
          )
        )
      return Result.succeed({ secrets: [fresh, newest], first: "function", what: "a new secret beside the old one" })
    case "retire":
      if (older.length === 0)
        return Result.fail(
          refused("There is one secret, and none to retire.", "Begin a rotation: npx pause-status secrets --rotate")
        )
      return Result.succeed({ secrets: [newest], first: "postgres", what: "the newest secret alone" })
  }
}
