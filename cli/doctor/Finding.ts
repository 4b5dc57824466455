/** Something that is wrong, and what to do about it. */
export interface Wrong {
  readonly detail: string
  readonly cure: string
}

/** What a check found. **Shape** `seen` is what an `ok` line says; `needs` what a check lacked that could not be made. */
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

/** Wrong if there is anything in the list; else ok, with what was seen. */
export const verdictOf = (list: ReadonlyArray<Wrong>, seen: string): Verdict =>
  list.length === 0 ? ok(seen) : { _tag: "Wrong", wrong: list }

/** "3 rows", "1 row". */
export const count = (many: number, one: string, more = `${one}s`): string => `${many} ${many === 1 ? one : more}`
