/** A span, as OTLP/JSON has it, with its attributes as a record of texts. */
export interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: { readonly code: number }
  readonly attributes: Readonly<Record<string, string>>
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: string }
}
interface Export {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{
      readonly spans: ReadonlyArray<Omit<OtlpSpan, "attributes"> & { readonly attributes: ReadonlyArray<Attribute> }>
    }>
  }>
}

/** The spans of one request to a receiver of OTLP/JSON. */
export const otlpSpans = ({ resourceSpans }: Export): ReadonlyArray<OtlpSpan> =>
  resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .map(({ attributes, ...span }) =>
      Object.assign(span, {
        attributes: Object.fromEntries(
          attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? ""])
        )
      })
    )
