import { inject } from "vitest"
import { userToken } from "../../local/keys.ts"
import type { Stack } from "../../local/stack.ts"

export { startStack } from "../../local/stack.ts"

/** What a test may know of the stack that all tests of one run share; a test that kills things starts its own. */
export type StackFacts = Pick<
  Stack,
  | "databaseUrl"
  | "adminUrl"
  | "apiUrl"
  | "functionUrl"
  | "orchestratorUrl"
  | "serviceKey"
  | "publishableKey"
  | "webhookSecret"
  | "resendUrl"
  | "resendKey"
  | "signingKey"
> & {
  /** A migrated database, to be copied. */
  readonly template: string
}

export const factsOf = (stack: Stack, template: string): StackFacts => ({
  template,
  databaseUrl: stack.databaseUrl,
  adminUrl: stack.adminUrl,
  apiUrl: stack.apiUrl,
  functionUrl: stack.functionUrl,
  orchestratorUrl: stack.orchestratorUrl,
  serviceKey: stack.serviceKey,
  publishableKey: stack.publishableKey,
  webhookSecret: stack.webhookSecret,
  resendUrl: stack.resendUrl,
  resendKey: stack.resendKey,
  signingKey: stack.signingKey
})

declare module "vitest" {
  interface ProvidedContext {
    stack: StackFacts
  }
}

export const sharedStack = (): StackFacts & Pick<Stack, "userToken"> => {
  const facts = inject("stack")
  return { ...facts, userToken: (user) => userToken(facts, user) }
}
