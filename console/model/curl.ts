import { basePath } from "./api.ts"

// The page never has the key, so the command takes it from the shell.
const KEY = '-H "apikey: $SUPABASE_SECRET_KEY"'

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** The same request as a shell command. */
export const curl = (url: string, topic: string, eventId = "", change?: object): string => {
  const target = quoted(`${url}${basePath}${topic}${eventId && `/${eventId}`}`)
  if (change === undefined) return `curl ${KEY} ${target}`
  return `curl -X PUT ${KEY} -H "content-type: application/json" -d ${quoted(JSON.stringify(change))} ${target}`
}
