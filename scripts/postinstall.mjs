/** After an installation by a package manager other than pnpm: replaces its packages by those that commands need. */
import { setUp } from './set-up.mjs';

const agent = process.env['npm_config_user_agent'] ?? '';

if (!agent.startsWith('pnpm')) {
  // npm has changed no package here (see .npmrc), so packages that running programs may use stay in place.
  await setUp({ packages: 'run', isForeign: !agent.startsWith('npm') });
  process.exit(0);
}
