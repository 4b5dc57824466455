/** The version of this package: of its REST contract, and of the function that wrote a line of the log. */
export const packageVersion = "0.1.0"
