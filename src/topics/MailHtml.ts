import * as Data from "effect/Data"

/** Markup that may be part of a document. Made by `html` alone, which escapes all else. */
export class Html extends Data.Class<{ readonly markup: string }> {}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "")

const render = (value: string | Html | ReadonlyArray<Html>): string => {
  if (typeof value === "string") return escape(value)
  return value instanceof Html ? value.markup : value.map(({ markup }) => markup).join("")
}

/**
 * Markup with values in it. Texts are escaped, for the content of an element and for an attribute in quotes.
 *
 * @example
 * html`<p title="${name}">${name}</p>`
 */
export const html = (
  parts: TemplateStringsArray,
  ...values: ReadonlyArray<string | Html | ReadonlyArray<Html>>
): Html => {
  const pieces = parts.flatMap((part, index) => {
    const value = values[index]
    return value === undefined ? [part] : [part, render(value)]
  })
  return new Html({ markup: pieces.join("") })
}
