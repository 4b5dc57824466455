import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { packageVersion } from "../schema/PackageVersion.ts"
import * as Config from "./Config.ts"

/**
 * One JSON object per line on the console, where Supabase and every log collector reads it. Each says which version of
 * the function wrote it.
 */
export const json = Layer.provideMerge(
  Logger.layer([Logger.consoleJson]),
  Layer.succeed(References.CurrentLogAnnotations, { version: packageVersion })
)

/** The same, from the level on that the environment says. For the deployed functions: an app has its own logger. */
export const layer = json.pipe(
  Layer.provideMerge(Layer.effect(References.MinimumLogLevel, Config.logLevel)),
  Layer.provide(Config.fromEnvironment)
)
