import { alone, CHANGELESS, delivery, type Maker, post, SERVER } from "./alone.ts"
import { anyBody } from "./bodies.ts"
import { bytesOf, HOST, JSON_TYPE, lengthOf, PATH } from "./requests.ts"
import type { Headers } from "./signatures.ts"

const NO_HTTP = [
  "GET /\r\n\r\n",
  "POST\r\n\r\n",
  `POST ${PATH}\r\n\r\n`,
  `POST ${PATH} HTTP/9.9\r\n\r\n`,
  `POST ${PATH} HTTP/1.1 \r\n\r\n`,
  `POST  ${PATH} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `PO\u0000ST ${PATH} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH}\u0000 HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost : a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n: empty\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: a\u0000b\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n webhook-id: folded\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\nhost: a\n\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nwebhook-id: a\nset-cookie: b\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(500_000)}\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\n${"x: y\r\n".repeat(2_000)}\r\n`,
  `POST /${"a".repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH}?${"a".repeat(70_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  `POST ${PATH} HTTP/1.1\r\nhost: a\r\nx: unfinished`,
  "\r\n\r\n\r\n\r\n",
  "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
  "SSH-2.0-OpenSSH_9.6\r\n",
  "CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n",
  "{}"
]

// Any part may answer these first. They must be answered, and must notify nobody.
const UNSIGNED = [
  "401 unauthorized",
  "404 not_found",
  "405 method_not_allowed",
  "415 unsupported_media_type",
  ...SERVER
]

const TARGETS = [
  `http://127.0.0.1${PATH}`,
  `http://evil.example${PATH}`,
  `https://user:pass@evil.example:99999${PATH}`,
  `HTTP://[::1${PATH}`,
  `ftp://evil.example${PATH}`,
  "*",
  "evil.example:80",
  `${PATH}#fragment`,
  `\\${PATH}`,
  `${PATH}\\`,
  `//evil.example${PATH}`,
  `/.${PATH}`,
  `/x/..${PATH}`,
  `/%2e%2e${PATH}`,
  `${PATH}?\u00ff`,
  `/\u00e9${PATH}`,
  `${PATH}?<script>"'|^{}\``,
  "",
  "?",
  "javascript:alert(1)"
]

const HOSTS = [
  "",
  "a b",
  "[::1",
  "127.0.0.1:99999",
  "user@127.0.0.1",
  "-",
  "%00",
  "\u00e9.example",
  "a/b",
  "a?b",
  "a#b",
  ":",
  "x".repeat(300),
  "xn--a",
  "1.2.3.4.5",
  "256.256.256.256",
  "[::g]",
  "a\\b",
  "a..b",
  "0x7f.1"
]

/** Requests that are hardly any, or whose address is. */
export const odd: Readonly<Record<string, Maker>> = {
  noHttp: (random) => alone("no HTTP", [Buffer.from(random.pick(NO_HTTP), "latin1"), "half-close"], post(UNSIGNED)),
  target: (random, world) => {
    const { body, headers } = delivery(random, world)
    const target = random.pick(TARGETS)
    const whole = bytesOf(
      random.pick(["POST", "POST", "OPTIONS", "CONNECT"]),
      target,
      [...headers, lengthOf(body)],
      body
    )
    return alone("target", [whole], post([...CHANGELESS, ...UNSIGNED]))
  },
  host: (random, world) => {
    const { body, headers } = delivery(random, world)
    const hosts = random.pick<Headers>([
      [],
      [HOST, ["host", "evil.example"]],
      ...HOSTS.map((host) => [["host", host]] as const)
    ])
    const whole = bytesOf("POST", PATH, [...hosts, ...headers.slice(1), lengthOf(body)], body)
    return alone("host", [whole], post([...CHANGELESS, "404 not_found", ...SERVER]))
  },
  upgrade: (random, world) => {
    const { body, headers } = delivery(random, world)
    const to = random.pick(["websocket", "h2c", "TLS/1.3"])
    const more: Headers = [
      ["connection", "upgrade, http2-settings"],
      ["upgrade", to],
      ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["sec-websocket-version", "13"]
    ]
    return alone(
      "upgrade",
      [bytesOf("POST", PATH, [...headers, ...more, lengthOf(body)], body)],
      post([...CHANGELESS, ...SERVER])
    )
  },
  method: (random, world) => {
    const body = anyBody(random, world).bytes
    const method = random.pick([
      "post",
      "Post",
      "POST\t",
      "G\u00e9T",
      "!#$%&'*+-.^_`|~",
      "PRI",
      "CONNECT",
      "M".repeat(20_000)
    ])
    return alone(
      "method",
      [bytesOf(method, PATH, [HOST, JSON_TYPE, lengthOf(body)], body)],
      post([...UNSIGNED, "413 body_too_large"])
    )
  }
}
