import { once } from "node:events"
import * as http from "node:http"
import { type Client } from "pg"
import { LOOPBACK } from "../../local/ports.ts"
import type { Told } from "./Told.ts"

const mentorOf = (body: string): string => {
  const webhook: unknown = JSON.parse(body)
  const record = typeof webhook === "object" && webhook !== null && "record" in webhook ? webhook.record : undefined
  return typeof record === "object" && record !== null && "id" in record ? String(record.id) : ""
}

/** The listener that the trigger of `tutorialTable` calls. It counts each call as notified and does nothing else. */
export const startNotifier = async (told: Told): Promise<{ readonly url: string } & AsyncDisposable> => {
  const server = http.createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part) => parts.push(part))
    request.on("end", () => {
      told.tell(mentorOf(Buffer.concat(parts).toString()))
      response.end("{}")
    })
  })
  server.listen(0, LOOPBACK)
  await once(server, "listening")
  const address = server.address()
  return {
    url: `http://${LOOPBACK}:${typeof address === "object" ? address?.port : address}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

/**
 * What a tutorial builds: one net.http_post per changed row, in the shape of Supabase's webhooks. Nothing is signed,
 * stored or retried.
 */
export const createTutorialTable = (client: Client, notifierUrl: string) =>
  client.query(`
    create table public.tutorial_profiles (like public.peer_mentor_profiles including all);
    insert into public.tutorial_profiles select * from public.peer_mentor_profiles;
    create function public.tutorial_notify() returns trigger language plpgsql security definer as $$
    begin
      perform net.http_post(
        url := '${notifierUrl}',
        body := jsonb_build_object(
          'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
          'record', to_jsonb(new), 'old_record', to_jsonb(old)
        ),
        headers := '{"Content-Type": "application/json"}'
      );
      return null;
    end
    $$;
    create trigger tutorial_notify after update on public.tutorial_profiles
      for each row when (old.status is distinct from new.status) execute function public.tutorial_notify()`)
