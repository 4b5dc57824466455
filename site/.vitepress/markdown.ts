import { existsSync } from "node:fs"
import path from "node:path"
import type { MarkdownRenderer } from "vitepress"

interface Options {
  readonly root: string
  readonly isPage: (file: string) => boolean
  readonly rewrite: (page: string) => string
}

/**
 * The pages link as files of the repository do, because they are read there too. A link to a page becomes the page's
 * address; a link to any other file points into the repository, or is plain text if REPOSITORY_URL names none.
 */
export const links = (md: MarkdownRenderer, { root, isPage, rewrite }: Options) => {
  md.core.ruler.push("repository-links", ({ env, tokens }) => {
    const source: string = env.realPath ?? env.path
    for (const { children } of tokens) {
      const dropped: Array<boolean> = []
      for (const token of children ?? []) {
        if (token.type === "link_close" && dropped.pop()) token.hidden = true
        if (token.type !== "link_open") continue
        const href = token.attrGet("href") ?? ""
        const [target = "", anchor] = href.split("#")
        if (target === "" || /^[a-z]+:/.test(target)) {
          dropped.push(false)
          continue
        }
        const file = path.relative(root, path.resolve(path.dirname(source), target))
        if (!existsSync(path.join(root, file))) throw new Error(`${path.relative(root, source)}: dead link ${href}`)
        const repository = process.env["REPOSITORY_URL"]
        const page = file.endsWith(".md") && isPage(file)
        if (page) token.attrSet("href", `/${rewrite(file)}${anchor === undefined ? "" : `#${anchor}`}`)
        else if (repository !== undefined) token.attrSet("href", `${repository}/blob/main/${file}`)
        else token.hidden = true
        dropped.push(token.hidden)
      }
    }
  })
  const { link_open, link_close } = md.renderer.rules
  md.renderer.rules.link_open = (tokens, index, options, env, self) =>
    tokens[index]?.hidden
      ? ""
      : (link_open?.(tokens, index, options, env, self) ?? self.renderToken(tokens, index, options))
  md.renderer.rules.link_close = (tokens, index, options, env, self) =>
    tokens[index]?.hidden
      ? ""
      : (link_close?.(tokens, index, options, env, self) ?? self.renderToken(tokens, index, options))
}

/** VitePress styles fenced code alone, and lets indented code run out of the page. */
export const indentedCode = (md: MarkdownRenderer) => {
  md.renderer.rules.code_block = (tokens, index, options, env, self) => {
    const token = tokens[index]
    if (token !== undefined) token.info = "text"
    return md.renderer.rules.fence?.(tokens, index, options, env, self) ?? ""
  }
}
