const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  502: "Bad Gateway",
  503: "Service Unavailable"
}

export const json = (body: unknown): Response =>
  new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } })

/** An error as an RFC 9457 problem. */
export const problem = (
  status: number,
  code: string,
  detail: string,
  extra: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {}
): Response =>
  new Response(JSON.stringify({ type: "about:blank", title: TITLES[status], status, code, detail, ...extra }), {
    status,
    headers: { "content-type": "application/problem+json", ...headers }
  })
