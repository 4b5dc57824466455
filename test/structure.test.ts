import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

interface File {
  readonly path: string
  readonly text: string
  readonly code: string
}

const blanked = [
  /^import\b[^"]*"[^"]*"/gm,
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
  /(?<=[(,=:]\s?)\/(?:[^/\\\n[]|\\.|\[[^\]\n]*\])+\/[a-z]*/g
]

/** Blanks out imports, comments, texts and patterns: rules about code read code only. Lines stay where they are. */
const codeOf = (text: string): string =>
  blanked.reduce((code, pattern) => code.replaceAll(pattern, (found) => found.replaceAll(/[^\n]/g, " ")), text)

const filesIn = (folder: string): ReadonlyArray<File> =>
  readdirSync(root + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => posix.join(entry.parentPath, entry.name).slice(root.length))
    .filter((path) => !path.includes("/node_modules/"))
    .map((path) => {
      const text = readFileSync(root + path, "utf8")
      return { path, text, code: codeOf(text) }
    })

const source = filesIn("src")
const entries = source.filter(({ path }) => path.startsWith("src/entries/"))
const withoutEntries = source.filter((file) => !entries.includes(file))
const functions = filesIn("supabase/functions").filter(({ path }) => !path.includes("/dist/"))
const cli = filesIn("cli")
const page = filesIn("console")
const tests = filesIn("test")
const examples = readdirSync(`${root}examples`, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "node_modules")
  .flatMap(({ name }) => filesIn(`examples/${name}`))
const rest = ["bench", "build", "chaos", "local"].flatMap(filesIn)
const every = [...source, ...functions, ...cli, ...page, ...examples, ...rest, ...tests]

const importsOf = ({ path, text }: File): ReadonlyArray<string> =>
  [...text.matchAll(/^(?:import\b[^"]*|export\b[^"=;]*\bfrom )"([^"]+)"/gm)].map(([, name = ""]) =>
    name.startsWith(".") ? posix.join(posix.dirname(path), name) : name
  )

// The entries of the package are above all: they may import anything of src, and nothing imports them.
const rooms = [
  "src/schema/",
  "src/services/",
  "src/topics/",
  "src/layers/",
  "src/\\w+\\.ts",
  "supabase/functions/",
  "src/entries/"
]
const roomOf = (path: string): number => rooms.findIndex((room) => new RegExp(`^${room}`).test(path))

/** Each place in the code of a file that matches, as path:line. */
const places = (files: ReadonlyArray<File>, pattern: RegExp): ReadonlyArray<string> =>
  files.flatMap(({ code, path }) =>
    code.split("\n").flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : []))
  )

describe("the scan", () => {
  it("sees the whole program", () => {
    const paths = source.map(({ path }) => path)
    assert.isAtLeast(paths.length, 25)
    assert.includeMembers(paths, [
      "src/main.ts",
      "src/layers/Config.ts",
      "src/services/Topic.ts",
      "src/topics/PauseStatus.ts"
    ])
    assert.isAtLeast(functions.length, 2)
    assert.isAtLeast(source.flatMap(importsOf).length, 150)
  })

  it("tells code from comments and texts", () => {
    const text = 'import * as a from "a"\nb // c\n/* d\n */ e("f // g", /"h"/) as i'
    assert.strictEqual(codeOf(text).replaceAll(/ +/g, " ").trim(), "b \n \n e( , ) as i")
  })
})

describe("rooms", () => {
  it("every file is in the right folder", () => {
    const kinds = /^src\/(?:(?:schema|services|topics|layers)\/[A-Z]\w*|(?:entries\/)?[a-z]\w*)\.ts$/
    assert.deepStrictEqual(
      source.map(({ path }) => path).filter((path) => !kinds.test(path)),
      []
    )
  })

  it("a lower folder never imports an upper one", () => {
    const wrong = [...source, ...functions].flatMap((file) =>
      importsOf(file)
        .filter((path) => roomOf(path) > roomOf(file.path))
        .map((path) => `${file.path} imports ${path}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("only another entry imports an entry of the package", () => {
    const below = source.filter(({ path }) => !path.startsWith("src/entries/"))
    const wrong = [...below, ...functions].flatMap((file) =>
      importsOf(file)
        .filter((path) => path.startsWith("src/entries/"))
        .map((path) => `${file.path} imports ${path}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("an entry of the package only re-exports", () => {
    assert.isAtLeast(entries.length, 5)
    const exported = /^export (?:type )?(?:\{[^}]*\}|\*(?: as \w+)?) from "\.\.?\/[\w/]+\.ts"$/gm
    const rest = entries.flatMap(({ path, text }) =>
      text
        .replaceAll(exported, "")
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("//"))
        .map((line) => `${path}: ${line}`)
    )
    assert.deepStrictEqual(rest, [])
  })

  it("the entries of the program, of the client and for tests bring no package but effect", () => {
    const reached = (path: string, seen = new Set<string>()): ReadonlySet<string> => {
      const file = source.find((other) => other.path === path)
      if (seen.has(path) || file === undefined) return seen.add(path)
      seen.add(path)
      for (const imported of importsOf(file)) reached(imported, seen)
      return seen
    }
    const packages = ["index", "client", "testing"].flatMap((name) =>
      [...reached(`src/entries/${name}.ts`)].filter((path) => !/^(?:src|effect)\//.test(path))
    )
    assert.deepStrictEqual(packages, [])
    assert.include([...reached("src/entries/supabase.ts")], "@supabase/postgrest-js")
  })

  it("the functions import only files of src, and those import nothing outside it", () => {
    const wrong = [...source, ...functions].flatMap((file) =>
      importsOf(file)
        .filter((name) => !name.startsWith("src/") && !/^(?:effect\/|jose\/|@supabase\/postgrest-js$)/.test(name))
        .map((name) => `${file.path} imports ${name}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("the command imports what is pure in src, and effect by its modules", () => {
    assert.isNotEmpty(cli)
    const allowed =
      /^(?:cli\/|src\/schema\/|effect\/(?:[a-z-]+\/)?[A-Z]\w*$|@effect\/platform-node\/\w+$|node:(?!fs|child_process)|pg$)/
    const wrong = cli.flatMap((file) =>
      importsOf(file)
        .filter((name) => !allowed.test(name))
        .map((name) => `${file.path} imports ${name}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("the page of the console brings Preact, and imports only types from the project", () => {
    assert.isNotEmpty(page)
    const wrong = page.flatMap((file) =>
      importsOf({ ...file, text: file.text.replaceAll(/^import type [^"]*"[^"]*src\/schema\/[^"]*"/gm, "") })
        .filter((name) => !/^(?:console\/|preact(?:\/hooks)?$|@preact\/signals$)/.test(name))
        .map((name) => `${file.path} imports ${name}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("the embedded stack imports nothing of what runs on it", () => {
    const wrong = filesIn("local").flatMap((file) =>
      importsOf(file)
        .filter((name) => /^(?:bench|chaos|test)\//.test(name))
        .map((name) => `${file.path} imports ${name}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("effect is imported by its modules, so that the bundle holds only what is used", () => {
    const names = source.flatMap(importsOf).filter((name) => name.startsWith("effect"))
    assert.isAbove(names.length, 50)
    assert.deepStrictEqual(
      names.filter((name) => !/^effect\/(?:[a-z-]+\/)?[A-Z]\w*$/.test(name)),
      []
    )
    assert.deepStrictEqual(
      names.filter((name) => name.startsWith("effect/unstable")),
      []
    )
  })

  it("only the layers use a driver, and only Config reads the environment", () => {
    const drivers = source.filter((file) => importsOf(file).some((name) => /^(?:@|jose\/)/.test(name)))
    assert.isTrue(drivers.every(({ path }) => path.startsWith("src/layers/")))
    const environment = places(source, /\bprocess\b|\bDeno\b|import\.meta/).map((place) => place.split(":")[0])
    assert.deepStrictEqual([...new Set(environment)], ["src/layers/Config.ts"])
    const lower = source.filter(({ path }) => roomOf(path) < roomOf("src/layers/"))
    assert.deepStrictEqual(places(lower, /\bfetch\b|\bRequest\b|\bResponse\b|\bHeaders\b/), [])
    const core = lower.filter(({ path }) => roomOf(path) > 0)
    assert.deepStrictEqual(places(core, /\bstatus: [1-5]\d\d\b/), [])
  })
})

describe("code", () => {
  it.each([
    ["async or await", /\basync\b|\bawait\b/],
    ["try and catch statements", /\btry\s*\{|\bcatch\s*[({]\s*\w*\s*\)?\s*\{/],
    ["any", /(?:[:<,|&(]|=>|\bas)\s*any\b/],
    ["casts", /\bas\s+(?!const\b)/],
    ["barrels, through which a bundle takes in more than it uses", /^export\s*[*{]/],
    ["assertions that a value is there", /[\w)\]]!(?=[.;,)\]\s]|$)(?!=)/],
    ["the machine's clock", /\bDate\.now\b|\bnew Date\b|\bperformance\.now\b/],
    ["chance that tests cannot steer", /\bMath\.random\b/],
    ["the console", /\bconsole\./],
    ["suppressed errors", /@ts-(?:ignore|expect-error|nocheck)/],
    ["what node cannot strip", /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum|namespace)\s/]
  ])("of src and cli is free of %s", (_, pattern) => {
    assert.deepStrictEqual(places([...withoutEntries, ...cli], pattern), [])
  })

  it("of src has one dynamic import, for what a delivery never needs", () => {
    assert.deepStrictEqual(
      places(source, /\bimport\s*\(/).map((place) => place.split(":")[0]),
      ["src/main.ts"]
    )
  })

  it("has no file over 400 lines", () => {
    const long = every.filter(({ text }) => text.split("\n").length > 400).map(({ path }) => path)
    assert.deepStrictEqual(long, [])
  })

  it("leaves nothing to do and no test out", () => {
    assert.deepStrictEqual(
      every.filter(({ text }) => /\b(?:TO-?DO|FIX-?ME)\b/.test(text)).map(({ path }) => path),
      []
    )
    assert.deepStrictEqual(places(tests, /\b(?:it|test|describe|layer)(?:\.\w+)*\.(?:skip|only|todo|fails)\b/), [])
  })
})

describe("docblocks", () => {
  const documented = source.filter(({ path }) => roomOf(path) < roomOf("src/layers/"))

  it("every export of schema, services and topics has one", () => {
    const missing = documented.flatMap(({ path, text }) => {
      const names = [...text.matchAll(/^export (?:declare )?(?:const|class|interface|type|function) (\w+)/gm)]
      const withBlock = new Set(
        [...text.matchAll(/\*\/\nexport (?:declare )?(?:const|class|interface|type|function) (\w+)/g)].map(
          ([, name]) => name
        )
      )
      return names.flatMap(([, name = ""]) => (withBlock.has(name) ? [] : [`${path}: ${name}`]))
    })
    assert.isAtLeast(documented.length, 14)
    assert.deepStrictEqual(missing, [])
  })
})
