import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { HANDLER, type Stack } from "./stack.ts"
import { buildConsole } from "../build/console.ts"
import { Page } from "../cli/console/Page.ts"
import { serve } from "../cli/console/serve.ts"

export interface Console extends AsyncDisposable {
  readonly url: string
}

/** The console of a running stack, with the mails of its stand-in for Resend. Port 0 takes a free port. */
export const startConsole = async (
  { apiUrl, resendUrl, serviceKey }: Pick<Stack, "apiUrl" | "resendUrl" | "serviceKey">,
  port = 0
): Promise<Console> => {
  await buildConsole()
  const scope = Scope.makeUnsafe()
  const project = {
    url: `${apiUrl}/functions/v1/${HANDLER}`,
    key: Redacted.make(serviceKey),
    mailsUrl: resendUrl,
    readOnly: false
  }
  const url = await Effect.runPromise(
    serve(project, port).pipe(
      Effect.provide(Layer.provide(Page.layer, NodeServices.layer)),
      Effect.provideService(Scope.Scope, scope)
    )
  )
  return { url, [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}
