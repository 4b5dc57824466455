import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { migrate } from "../../local/postgres/migrate.ts"
import type { Stack } from "../../local/stack.ts"
import { bareStack, openSession, type Session } from "../support/bareStack.ts"

let stack: Stack
let session: Session

beforeAll(async () => {
  stack = await bareStack()
  session = await openSession(stack.databaseUrl)
})

afterAll(async () => {
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

describe("the database", () => {
  it("is PostgreSQL 17, in UTC, on loopback only", async () => {
    expect(
      await session.rows(
        "select current_setting('server_version_num')::int / 10000 as major, current_setting('TimeZone') as zone, " +
          "current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets"
      )
    ).toEqual([{ major: 17, zone: "UTC", addresses: "127.0.0.1", sockets: "" }])
  })

  it("asks for a password", async () => {
    const url = new URL(stack.databaseUrl)
    url.password = "wrong"
    await expect(openSession(url.href)).rejects.toMatchObject({ code: "28P01" })
  })

  it("has hosted Supabase's roles, and role postgres is no superuser", async () => {
    expect(
      await session.rows(
        `select rolname, rolsuper, rolcanlogin, rolbypassrls, rolinherit from pg_roles
         where rolname !~ '^pg_' order by rolname`
      )
    ).toEqual([
      { rolname: "anon", rolsuper: false, rolcanlogin: false, rolbypassrls: false, rolinherit: true },
      { rolname: "authenticated", rolsuper: false, rolcanlogin: false, rolbypassrls: false, rolinherit: true },
      { rolname: "authenticator", rolsuper: false, rolcanlogin: true, rolbypassrls: false, rolinherit: false },
      { rolname: "postgres", rolsuper: false, rolcanlogin: true, rolbypassrls: true, rolinherit: true },
      { rolname: "service_role", rolsuper: false, rolcanlogin: false, rolbypassrls: true, rolinherit: true },
      { rolname: "supabase_admin", rolsuper: true, rolcanlogin: true, rolbypassrls: true, rolinherit: true }
    ])
    expect(await session.value("show search_path")).toBe('"$user", public, extensions')
  })

  it("lets role postgres act as the Data API's roles", async () => {
    for (const role of ["anon", "authenticated", "service_role"]) {
      await session.client.query(`set role ${role}`)
      expect(await session.value("select current_user::text")).toBe(role)
      await session.client.query("reset role")
    }
  })
})

describe("extensions", () => {
  const forms: ReadonlyArray<readonly [name: string, version: string, clause: string]> = [
    ["pg_net", "0.20.4", "with schema extensions"],
    ["pg_net", "0.20.4", ""],
    ["pg_cron", "1.6.4", "with schema pg_catalog"],
    ["pg_cron", "1.6.4", ""],
    ["supabase_vault", "0.3.1", "with schema vault"],
    ["supabase_vault", "0.3.1", ""],
    ["pgcrypto", "1.3", "with schema extensions"]
  ]

  it.each(forms)("are created by role postgres: %s %s %s", async (name, version, clause) => {
    await session.client.query(`create extension if not exists ${name} ${clause}`)
    await session.client.query(`create extension if not exists ${name} ${clause}`)
    expect(await session.value("select extversion from pg_extension where extname = $1", [name])).toBe(version)
    await session.client.query(`drop extension ${name}`)
  })

  it("can be created in a new database too", async () => {
    await session.client.query("create database other")
    const url = new URL(stack.databaseUrl)
    url.pathname = "/other"
    await using other = await openSession(url.href)
    for (const [name, , clause] of forms) await other.client.query(`create extension if not exists ${name} ${clause}`)
    expect(await other.value("select count(*)::int from pg_extension")).toBe(5)
  })
})

describe("migrations", () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "migrations-"))
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it("are applied once, in order, as role postgres, and recorded as the Supabase CLI does", async () => {
    await writeFile(join(directory, "20260102000000_second.sql"), "insert into public.applied select current_user;")
    await writeFile(join(directory, "20260101000000_first.sql"), "create table public.applied (by text);")
    await writeFile(join(directory, "README.md"), "no migration")
    expect(await migrate(stack.databaseUrl, directory)).toEqual([
      "20260101000000_first.sql",
      "20260102000000_second.sql"
    ])
    await writeFile(join(directory, "20260103000000_third.sql"), "select 1;")
    expect(await migrate(stack.databaseUrl, directory)).toEqual(["20260103000000_third.sql"])
    expect(await session.rows("select by from public.applied")).toEqual([{ by: "postgres" }])
    expect(
      await session.rows("select version, name from supabase_migrations.schema_migrations order by version")
    ).toEqual([
      { version: "20260101000000", name: "first" },
      { version: "20260102000000", name: "second" },
      { version: "20260103000000", name: "third" }
    ])
  })

  it("leave nothing of a file that fails", async () => {
    await writeFile(join(directory, "20260104000000_half.sql"), "create table public.half (id int);\nselect 1 / 0;")
    await expect(migrate(stack.databaseUrl, directory)).rejects.toThrow("20260104000000_half.sql: division by zero")
    expect(await session.value("select to_regclass('public.half')")).toBeNull()
  })
})
