/** Something that is wrong, and what to do about it. */
export interface Wrong {
  readonly detail: string
  readonly cure: string
}

/** The result of a check. **Shape** `seen` is the text of an `ok` line; `needs` is what a skipped check lacked. */
export type Verdict =
  | { readonly _tag: "Ok"; readonly seen: string }
  | { readonly _tag: "Wrong"; readonly wrong: ReadonlyArray<Wrong> }
  | { readonly _tag: "NotChecked"; readonly needs: string }

/** A check and what it found. */
export interface Finding {
  readonly name: string
  readonly verdict: Verdict
}

export const ok = (seen: string): Verdict => ({ _tag: "Ok", seen })

export const notChecked = (needs: string): Verdict => ({ _tag: "NotChecked", needs })

export const wrong = (detail: string, cure: string): Verdict => ({ _tag: "Wrong", wrong: [{ detail, cure }] })

/** Wrong if the list has an entry. Otherwise ok, with what was seen. */
export const verdictOf = (list: ReadonlyArray<Wrong>, seen: string): Verdict =>
  list.length === 0 ? ok(seen) : { _tag: "Wrong", wrong: list }

/** "3 rows", "1 row". */
export const count = (many: number, one: string, more = `${one}s`): string => `${many} ${many === 1 ? one : more}`
