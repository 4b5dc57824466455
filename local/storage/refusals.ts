/** Storage's answers when it refuses a request. **Source** supabase/storage, src/internal/errors. */
export class Refusal extends Error {
  readonly code: string
  /** The status in the body. The status of the reply is 400 for all but 500. */
  readonly statusCode: number

  constructor(statusCode: number, code: string, message: string) {
    super(message)
    this.statusCode = statusCode
    this.code = code
  }

  get status(): number {
    return this.statusCode >= 500 ? this.statusCode : 400
  }

  get body(): string {
    const { code, message, statusCode } = this
    return JSON.stringify({ statusCode: String(statusCode), code, error: code, message })
  }
}

export const noSuchRoute = (path: string) => new Refusal(404, "InvalidRequest", `Route ${path} not found`)
export const noSuchBucket = () => new Refusal(404, "NoSuchBucket", "Bucket not found")
export const noSuchKey = () => new Refusal(404, "NoSuchKey", "Object not found")
export const invalidBody = (message: string) => new Refusal(400, "InvalidRequest", message)
export const invalidKey = (key: string) => new Refusal(400, "InvalidKey", `Invalid key: ${key}`)
export const invalidBucketName = () => new Refusal(400, "InvalidBucketName", "Bucket name invalid")
export const invalidToken = (message: string) => new Refusal(400, "InvalidJWT", message)
export const otherToken = () => new Refusal(400, "InvalidSignature", "The url do not match the signature")
export const noCredentials = () =>
  new Refusal(400, "InvalidRequest", "headers must have required property 'authorization'")
export const unknownCredentials = () => new Refusal(403, "AccessDenied", "Invalid Compact JWS")
export const notAllowed = () => new Refusal(403, "AccessDenied", "new row violates row-level security policy")
export const exists = (code: "KeyAlreadyExists" | "BucketAlreadyExists") =>
  new Refusal(409, code, "The resource already exists")
export const tooLarge = () => new Refusal(413, "EntityTooLarge", "The object exceeded the maximum allowed size")
export const wrongType = (type: string) => new Refusal(415, "InvalidMimeType", `mime type ${type} is not supported`)
export const fault = (statusCode: number) => new Refusal(statusCode, "InternalError", "A fault that was asked for")
