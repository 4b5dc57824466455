import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Config from "./Config.ts"

/** One JSON object per line on the console, where Supabase and every log collector reads it. */
export const json = Logger.layer([Logger.consoleJson])

/** The same, from the configured level on. */
export const layer = Layer.provideMerge(json, Layer.effect(References.MinimumLogLevel, Config.logLevel))
