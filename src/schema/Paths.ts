/** Where events are delivered and looked after: at the root, and under the function's name on Supabase. */
export const eventsPath = "/api/v1/webhooks/pause-status"
