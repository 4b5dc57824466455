import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Database } from "../Database.ts"
import { cannotRun, type Failure } from "../Failure.ts"
import { Supabase } from "./Supabase.ts"

/** The names under which the outbox looks up its settings. */
export const SECRET = "outbox_webhook_secret"
export const URL_NAME = "outbox_function_url"

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

const READ = `select name, decrypted_secret as value from vault.decrypted_secrets where name in ('${SECRET}', '${URL_NAME}')`

const Row = Schema.Struct({ name: Schema.String, value: Schema.String })

// Works for existing and new names. create_secret() alone fails the second time.
const writeSql = (values: Readonly<Record<string, string>>): string => {
  const rows = Object.entries(values).map(([name, value]) => `(${literal(name)}, ${literal(value)})`)
  return `select case
  when s.id is null then vault.create_secret(w.value, w.name, 'pause-status')::text
  else vault.update_secret(s.id, w.value)::text
end
from (values ${rows.join(", ")}) as w (name, value)
left join vault.secrets s on s.name = w.name`
}

/** The outbox's two settings in Vault. */
export class Vault extends Context.Service<
  Vault,
  {
    readonly read: Effect.Effect<ReadonlyMap<string, string>, Failure>
    readonly write: (values: Readonly<Record<string, string>>) => Effect.Effect<void, Failure>
  }
>()("pause-status-webhook-handler/cli/Vault") {
  /** Through its own connection. */
  static readonly layerDatabase = Layer.effect(
    Vault,
    Effect.gen(function* () {
      const database = yield* Database
      const query = <A, I>(row: Schema.Codec<A, I>, sql: string) =>
        database.rows(row, sql).pipe(Effect.mapError(({ message }) => cannotRun(`Vault refused: ${message}.`)))
      return Vault.of({
        read: Effect.map(query(Row, READ), (rows) => new Map(rows.map(({ name, value }) => [name, value]))),
        write: (values) => Effect.asVoid(query(Schema.Unknown, writeSql(values)))
      })
    })
  )

  /** Through Supabase's Management API, as the user that is logged in to the Supabase CLI. */
  static readonly layerLinked = (ref: string) =>
    Layer.effect(
      Vault,
      Effect.gen(function* () {
        const supabase = yield* Supabase
        const query = (text: string) =>
          supabase.run(["db", "query", `--remote=${ref}`, "--output-format=json"], { flag: "--file", text })
        const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Array(Row)))
        return Vault.of({
          read: query(READ).pipe(
            Effect.flatMap((text) =>
              decode(text).pipe(Effect.mapError(() => cannotRun("The Supabase CLI's answer cannot be read.")))
            ),
            Effect.map((rows) => new Map(rows.map(({ name, value }) => [name, value])))
          ),
          write: (values) => Effect.asVoid(query(writeSql(values)))
        })
      })
    )
}
