/** After an installation by another package manager than pnpm: replaces what it made by what the commands need. */
import { forgetInstallation, installPackages } from './packages.mjs';

if (!process.env['npm_config_user_agent']?.startsWith('pnpm')) {
  forgetInstallation();
  await installPackages('run');
  process.exit(0);
}
