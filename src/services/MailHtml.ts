/** Markup that may be part of a document. Made by `html` alone, which escapes all else. */
export class Html {
  readonly markup: string
  constructor(markup: string) {
    this.markup = markup
  }
}

/** Characters, and how they are written in markup. The ampersand comes first: what is read back reads it last. */
export const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "")

/**
 * Markup with values in it. Texts are escaped, for the content of an element and for an attribute in quotes.
 *
 * @example
 * html`<p title="${name}">${name}</p>`
 */
export const html = (parts: TemplateStringsArray, ...values: ReadonlyArray<string | Html>): Html => {
  const rendered = values.map((value) => (typeof value === "string" ? escape(value) : value.markup))
  return new Html(parts.flatMap((part, index) => [part, rendered[index] ?? ""]).join(""))
}
