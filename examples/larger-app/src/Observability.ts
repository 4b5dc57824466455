import { Layer, Logger, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"

const logger = Layer.merge(Logger.layer([Logger.consoleLogFmt]), Layer.succeed(References.MinimumLogLevel, "Debug"))

/** Traces go to OTEL_EXPORTER_OTLP_ENDPOINT if OTEL_TRACES_EXPORTER is otlp, and nowhere otherwise. */
const tracer = OtlpTracer.layerFromConfig({ resource: { serviceName: "larger-app" } }).pipe(
  Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer])
)

/** The app's own logger and tracer, which the package uses as well. */
export const layer = Layer.merge(logger, tracer)
