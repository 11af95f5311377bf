/** The version of Lockstep, which all its packages share. */
import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('@lockstep/command/package.json') as { version: string };

export const { version } = manifest;
