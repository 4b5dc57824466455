/** Where topics are served: at the root, and under the function's name on Supabase. */
export const webhooksPath = "/api/v1/webhooks"

/** Where the events of pause-status are delivered and looked after. */
export const eventsPath = `${webhooksPath}/pause-status` as const
