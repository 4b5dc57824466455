import { Layer, Logger, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpMetrics, OtlpSerialization, OtlpTracer } from "effect/observability"

const logger = Layer.merge(Logger.layer([Logger.consoleLogFmt]), Layer.succeed(References.MinimumLogLevel, "Debug"))

const resource = { serviceName: "larger-app" }

/**
 * Traces and metrics go to OTEL_EXPORTER_OTLP_ENDPOINT if OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER are otlp, and
 * nowhere otherwise.
 */
const exporters = Layer.merge(OtlpTracer.layerFromConfig({ resource }), OtlpMetrics.layerFromConfig({ resource })).pipe(
  Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer])
)

/** The app's own logger, tracer and metrics, which the package also uses. */
export const layer = Layer.merge(logger, exporters)
