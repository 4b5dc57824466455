import type { StoredMail } from "./outbox.ts"

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }

const escape = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? "")

const row = ({ createdAt, html, id, subject, text, to }: StoredMail): string => {
  const links = [html === undefined ? "" : `<a href="/mails/${id}.html">HTML</a>`]
  if (text !== undefined) links.push(`<a href="/mails/${id}.txt">text</a>`)
  const cells = [
    new Date(createdAt).toISOString().slice(0, 19).replace("T", " "),
    escape(to.join(", ")),
    escape(subject),
    links.join(" ")
  ]
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`
}

const STYLE = `body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: 0.4rem 0.6rem; text-align: left; vertical-align: top }`

const MOST_ROWS = 500

/** The page that lists stored mails, newest first. */
export const indexPage = (mails: ReadonlyArray<StoredMail>): string => {
  const rows = mails.toReversed().slice(0, MOST_ROWS)
  const table = `<table>
<thead><tr><th scope="col">Time (UTC)</th><th scope="col">To</th><th scope="col">Subject</th><th scope="col">Mail</th></tr></thead>
<tbody>
${rows.map(row).join("\n")}
</tbody>
</table>`
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Mails</title>
<style>${STYLE}</style></head>
<body><main>
<h1>Mails</h1>
<p>${mails.length === 1 ? "1 mail was" : `${mails.length} mails were`} accepted. None of them left this machine.</p>
${rows.length === 0 ? "" : table}
</main></body>
</html>
`
}
