/** Where the events of a topic are delivered and looked after: at the root, and under the function's name on Supabase. */
export const topicPath = "/api/v1/webhooks/:topic"

/** The same of the topic pause-status. */
export const eventsPath = "/api/v1/webhooks/pause-status"
