declare const Deno: { readonly env: { readonly get: (name: string) => string | undefined } }

const setting = (name: string): string => {
  const value = Deno.env.get(name)
  if (value === undefined) throw new Error(`set ${name}`)
  return value
}

export const supabaseUrl = setting("SUPABASE_URL")
export const serviceKey = setting("SUPABASE_SERVICE_ROLE_KEY")
export const orchestratorUrl = setting("ORCHESTRATOR_URL")
export const webhookSecret = setting("WEBHOOK_SECRETS")
