/** After an installation by another package manager than pnpm: replaces what it made by what the commands need. */
import { setUp } from './set-up.mjs';

const agent = process.env['npm_config_user_agent'] ?? '';

if (!agent.startsWith('pnpm')) {
  // npm has changed no package here (see .npmrc), where programs may run.
  await setUp({ packages: 'run', isForeign: !agent.startsWith('npm') });
  process.exit(0);
}
