import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import type { Plugin } from "vite"
import { defineConfig } from "vitepress"
import { indentedCode, links } from "./markdown.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const pages: Record<string, string> = {
  "README.md": "index.md",
  "SECURITY.md": "security.md",
  "CHANGELOG.md": "changelog.md",
  "bench/README.md": "benchmarks/method.md",
  "examples/trigger/README.md": "examples/trigger.md",
  "docs/adr/README.md": "adr/index.md"
}
const rewrite = (page: string) => pages[page] ?? page.replace(/^docs\//, "")

const title = (page: string) => /^# (.+)$/m.exec(readFileSync(path.join(root, page), "utf8"))?.[1] ?? page
const item = (page: string, text = title(page)) => ({
  text,
  link: `/${rewrite(page).replace(/(?:index)?\.md$/, "")}`
})
const decisions = readdirSync(path.join(root, "docs/adr"))
  .filter((name) => /^\d{4}-.*\.md$/.test(name))
  .toSorted()
  .map((name) => item(`docs/adr/${name}`))

const groups = {
  Start: [item("README.md", "Overview"), item("docs/install.md")],
  Build: [item("docs/topics.md"), item("docs/composition.md"), item("docs/mail.md"), item("docs/jobs.md")],
  Operate: [item("docs/runbook.md"), item("docs/console.md"), item("docs/observability.md"), item("SECURITY.md")],
  Understand: [
    item("docs/architecture.md"),
    item("docs/benchmarks.md"),
    item("bench/README.md", "How it is measured"),
    { ...item("docs/adr/README.md"), collapsed: true, items: decisions }
  ],
  Reference: [item("docs/api.md"), item("docs/glossary.md"), item("CHANGELOG.md")]
}
const listed = new Set(JSON.stringify(groups).match(/(?<="link":")[^"]+/g))
for (const name of readdirSync(path.join(root, "docs"))) {
  if (name.endsWith(".md") && !listed.has(item(`docs/${name}`).link)) throw new Error(`docs/${name} is in no group`)
}

// The pages lie outside this folder, from where Vite would not find Vue.
const vueOfTheSite: Plugin = {
  name: "vue-of-the-site",
  enforce: "pre",
  resolveId(source, importer) {
    if (!/^vue(?:\/|$)/.test(source) || !importer?.endsWith(".md")) return undefined
    return this.resolve(source, path.join(root, "site/package.json"), { skipSelf: true })
  }
}

export default defineConfig({
  title: "pause-status",
  description: "A Postgres outbox, signed webhooks and Edge Functions: coordinators are notified once, and in order.",
  srcDir: "..",
  outDir: "dist",
  // The root's folders hold Markdown that is no page: fixtures, and the packages' own.
  srcExclude: ["**/node_modules/**", "!(docs|bench|examples)/**/*.md", "bench/*/**", "examples/!(trigger)/**"],
  rewrites: rewrite,
  cleanUrls: true,
  vite: { publicDir: false, plugins: [vueOfTheSite], ssr: { external: ["vue", "vue/server-renderer"] } },
  markdown: {
    config: (md) => {
      links(md, { root, isPage: (file) => existsSync(path.join(root, file)), rewrite })
      indentedCode(md)
    }
  },
  themeConfig: {
    search: { provider: "local" },
    outline: { level: [2, 3] },
    sidebar: Object.entries(groups).map(([text, items]) => ({ text, items })),
    nav: Object.entries(groups).map(([text, items]) => ({ text, link: items[0]?.link ?? "/" }))
  }
})
