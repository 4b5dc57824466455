/** Where topics are served: at the root, and under the function's name on Supabase. */
export const webhooksPath = "/api/v1/webhooks"

/** Where the events of a topic are delivered and managed. */
export const topicPath = `${webhooksPath}/:topic` as const

/** The same for the topic pause-status. */
export const eventsPath = `${webhooksPath}/pause-status` as const
