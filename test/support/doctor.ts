import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Option, Redacted } from "effect"
import { examine } from "../../cli/doctor/Examine.ts"
import type { Finding } from "../../cli/doctor/Finding.ts"
import * as SourcesLive from "../../cli/doctor/SourcesLive.ts"
import type { Stack } from "../../local/stack.ts"

type Place = Pick<Stack, "apiUrl" | "databaseUrl" | "serviceKey">

/** A stack as the doctor reaches it, with all or with a part of what it may be given. */
export const sourcesOf = ({ apiUrl, databaseUrl, serviceKey }: Partial<Place>) =>
  SourcesLive.layer({
    databaseUrl: Option.map(Option.fromNullishOr(databaseUrl), (url) => Redacted.make(url)),
    project: Option.map(Option.fromNullishOr(apiUrl), (url) => ({ url, key: serviceKey ?? "" }))
  }).pipe(Layer.provide(NodeServices.layer))

/** What the doctor finds. */
export const examined = (place: Partial<Place>) => Effect.provide(examine, sourcesOf(place))

/** What is wrong, as texts by check. */
export const wrongIn = (findings: ReadonlyArray<Finding>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    findings.flatMap(({ name, verdict }) =>
      verdict._tag === "Wrong"
        ? [[name, verdict.wrong.map(({ cure, detail }) => `${detail} → ${cure}`).join("\n")]]
        : []
    )
  )

/** The checks that could not be made, and what they needed. */
export const uncheckedIn = (findings: ReadonlyArray<Finding>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    findings.flatMap(({ name, verdict }) => (verdict._tag === "NotChecked" ? [[name, verdict.needs]] : []))
  )
