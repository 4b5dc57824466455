import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { postgresBinaries } from "../../local/postgres/binaries.ts"
import { privateCopy } from "../../local/privateCopy.ts"

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "private-copy-"))
  await chmod(directory, 0o755)
  vi.stubEnv("TMPDIR", directory)
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(directory, { recursive: true, force: true })
})

const fillWith = (text: string) => (target: string) => writeFile(join(target, "file"), text, { mode: 0o600 })

const readCopy = async (copy: string) => readFile(join(copy, "file"), "utf8")

describe("a private copy", () => {
  it("is filled once and readable for other users", async () => {
    const copy = await privateCopy("label", fillWith("first"))
    expect(await privateCopy("label", fillWith("second"))).toBe(copy)
    expect(await readCopy(copy)).toBe("first")
    expect((await stat(join(copy, "file"))).mode & 0o777).toBe(0o644)
  })

  it("is filled again if a file is missing or truncated", async () => {
    const copy = await privateCopy("label", fillWith("first"))
    await rm(join(copy, "file"))
    await privateCopy("label", fillWith("second"))
    expect(await readCopy(copy)).toBe("second")
    await writeFile(join(copy, "file"), "")
    await privateCopy("label", fillWith("third"))
    expect(await readCopy(copy)).toBe("third")
  })

  it("is complete even if several fill it at the same time", async () => {
    const copies = await Promise.all(Array.from({ length: 8 }, () => privateCopy("label", fillWith("same"))))
    expect(new Set(copies).size).toBe(1)
    expect(await readCopy(copies[0] ?? "")).toBe("same")
  })

  it("leaves nothing behind when filling fails", async () => {
    await expect(privateCopy("label", () => Promise.reject(new Error("no")))).rejects.toThrow("no")
    expect(await readdir(directory)).toEqual([])
    expect(await readCopy(await privateCopy("label", fillWith("next")))).toBe("next")
  })
})

describe("the copy of PostgreSQL", () => {
  it("has the links that npm cannot pack, and the stand-in extensions", async () => {
    const { directory: copy } = await postgresBinaries()
    const links: ReadonlyArray<{ readonly target: string }> = JSON.parse(
      await readFile(join(copy, "pg-symlinks.json"), "utf8")
    )
    expect(links.length).toBeGreaterThan(0)
    for (const { target } of links) expect((await stat(join(copy, target.replace("native/", "")))).isFile()).toBe(true)
    for (const name of ["pg_net", "pg_cron", "supabase_vault"]) {
      expect(await readFile(join(copy, `share/postgresql/extension/${name}.control`), "utf8")).toContain("stand-in")
    }
  })
})
