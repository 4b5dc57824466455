import { parseSync, Visitor } from "rolldown/utils"
import { type Called, place } from "./rehearsal.ts"

interface Found {
  readonly start: number
  readonly end: number
}

const isMethod = ({ kind, method }: { readonly kind: string; readonly method: boolean }) => method || kind !== "init"

/**
 * Has V8 compile the functions that are called anyway along with the module that holds them. It would else read each of
 * them twice, at first only to find its end, then when it is called; nor would Deno's code cache hold them. V8 takes a
 * function in parentheses for one that is called at once. A declaration becomes such a function ahead of all else, where
 * it would be hoisted to. Nothing else about the module changes.
 */
export const compileAtOnce = (code: string, called: Called): string => {
  const { program } = parseSync("bundle.mjs", code)
  const methods = new Set<object>()
  const parentheses: Array<readonly [at: number, text: string]> = []
  const isCalled = ({ end, start }: Found) =>
    called.has(place(start, end)) || called.has(place(code.indexOf("function", start), end))
  const wrap = (found: Found) => {
    if (!methods.has(found) && isCalled(found)) parentheses.push([found.start, "("], [found.end, ")"])
  }
  new Visitor({
    MethodDefinition: ({ value }) => void methods.add(value),
    Property: (property) => void (isMethod(property) && methods.add(property.value)),
    FunctionExpression: wrap,
    ArrowFunctionExpression: wrap
  }).visit(program)
  parentheses.sort(([a, text], [b]) => a - b || (text === ")" ? -1 : 1))

  const between = (from: number, to: number): string => {
    let rest = from
    const parts = parentheses
      .filter(([at]) => at >= from && at <= to)
      .map(([at, text]) => {
        const part = code.slice(rest, at) + text
        rest = at
        return part
      })
    return parts.join("") + code.slice(rest, to)
  }

  let rest = 0
  const first: Array<string> = []
  const others: Array<string> = []
  for (const statement of program.body) {
    if (statement.type !== "FunctionDeclaration" || statement.id === null || !isCalled(statement)) continue
    const { end, id, start } = statement
    first.push(`${id.name}=(${code.slice(start, id.start)}${between(id.end, end)})`)
    others.push(between(rest, start))
    rest = end
  }
  const hoisted = first.length === 0 ? "" : `var ${first.join(",")};`
  return hoisted + others.join("") + between(rest, code.length)
}
