/** The version of Lockstep, which all its packages share; a test compares it with the package's. */
export const version = '0.1.0';
