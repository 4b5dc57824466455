// pause-status-webhook-handler/client: a typed client of the management routes. Needs effect alone, so a browser can
// have it as well.

export { ManagementClient, type ClientOptions, problemOf } from "../layers/ManagementClient.ts"
export { Api, ManagementApi } from "../schema/Api.ts"
export { EventChangeReply, EventPageReply } from "../schema/EventReplies.ts"
export { EventChange, EventQuery, Redrive, Resolve } from "../schema/EventRequests.ts"
export { Attempt, EventHistory, EventStatus, StoredEvent } from "../schema/Events.ts"
export { Check, NotReadyReply, QueueFigures, ReadyReply } from "../schema/Health.ts"
export { EventId, MentorId } from "../schema/Identifiers.ts"
export { Issue, Problem, ProblemCode } from "../schema/Replies.ts"
