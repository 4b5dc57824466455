import { createClient, type SupabaseClient } from "@supabase/supabase-js"

const required = (name: string): string => {
  const value = process.env[name]
  if (value === undefined || value === "") throw new Error(`${name} is not set in the environment of the tasks`)
  return value
}

export const project = () => ({ url: required("SUPABASE_URL"), key: required("SUPABASE_SECRET_KEY") })

/** The project's database, with its secret key, because only service_role may call the functions below. */
export const database = (): SupabaseClient => {
  const { key, url } = project()
  return createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } })
}

/** Calls an SQL function. An error is retried, because the database may be restarting. */
export const rpc = async (name: string, args: Readonly<Record<string, unknown>>): Promise<unknown> => {
  const { data, error } = await database().rpc(name, args)
  if (error !== null) throw new Error(`${name}: ${error.message}`)
  return data
}
