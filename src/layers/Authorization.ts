import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { Authorized, Explained } from "../schema/Api.ts"
import { Caller } from "../schema/Caller.ts"
import { Access } from "../services/Access.ts"
import { CredentialsRejected } from "../services/CredentialsRejected.ts"
import { InvalidQuery } from "../services/ManagedTopics.ts"
import { permit } from "../services/ManageEvents.ts"
import { toIssues } from "../services/Payload.ts"
import { InvalidId } from "./InvalidRequest.ts"
import { type ReplyError, toResponse } from "./Problems.ts"

/** A caller as log lines name them. */
export const named = (caller: Caller["Service"]) => ({
  caller: caller.kind,
  ...("userId" in caller && { userId: caller.userId })
})

/** The token of a monitor that can only send a URL. It allows nothing else, because URLs end up in logs. */
const monitorToken = ({ headers, url }: HttpServerRequest.HttpServerRequest): string | undefined =>
  headers["authorization"] === undefined && headers["apikey"] === undefined
    ? (new URL(url, "http://localhost").searchParams.get("token") ?? undefined)
    : undefined

const refuse = (operation: string, error: ReplyError, who: object = {}) =>
  Effect.as(
    Effect.logWarning({ outcome: error._tag, operation, ...who, detail: error.message }),
    HttpServerResponse.fromWeb(toResponse(error))
  )

// A reply that does not fit its schema is a defect.
const explained = HttpApiMiddleware.layerSchemaErrorTransform(Explained, (error, { endpoint: { identifier } }) => {
  const issues = toIssues(error.cause)
  if (error.kind === "Query") return refuse(identifier, new InvalidQuery({ issues }))
  return error.kind === "Params" ? refuse(identifier, new InvalidId({ issues })) : Effect.die(error)
})

const authorized = Layer.effect(
  Authorized,
  Effect.gen(function* () {
    const access = yield* Access

    const identify = Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const token = monitorToken(request)
      if (token === undefined) return yield* access.identify({ get: (name) => request.headers[name] ?? null })
      const authorization = `Bearer ${token}`
      const caller = yield* access.identify({ get: (name) => (name === "authorization" ? authorization : null) })
      return caller.kind === "monitor" ? caller : yield* new CredentialsRejected({ reason: "unknown" })
    })

    const admit: Authorized["Service"]["secretKey"] = (handle, { endpoint: { identifier } }) =>
      Effect.matchEffect(identify, {
        onFailure: (error) => refuse(identifier, error),
        onSuccess: (caller) =>
          Effect.matchEffect(permit(caller, identifier), {
            onFailure: (error) => refuse(identifier, error, named(caller)),
            onSuccess: () => Effect.provideService(handle, Caller, caller)
          })
      })

    // Access reads all of them: the other schemes are there for the document, and are never come to.
    return Authorized.of({ secretKey: admit, userToken: admit, monitorToken: admit })
  })
)

/** Who the caller is, by Access, and whether they may do this, by their role; only then the input is looked at. */
export const layer = Layer.merge(authorized, explained)
