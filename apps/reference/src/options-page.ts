/** The page of all options, `docs/options.md`, from the tables that the command lines read. */
import { type Command, commandText, optionTables } from '@lockstep/command';
import { relayCommand, runCommands } from '@lockstep/train/command-line';
import { workerCommand } from '@lockstep/worker/options';

const { start, coordinator } = runCommands;

const introduction = `# Options

\`npm run docs\` writes this page from the tables that the command lines read; \`--help\` prints the same options. An
unknown option or a wrong value ends a command with one sentence and exit code 2.`;

/** The page as Markdown. */
export function optionsPage(): string {
  const fallback = `\`--workers\` is ${coordinator.options.workers.default} by default with \`npm run coordinator\`.`;
  return [
    introduction,
    `## A run\n\n${usageOf(start)}\n${usageOf(coordinator)}\n\nBoth take the same options. ${fallback}`,
    optionTables(start.options).trimEnd(),
    ...[workerCommand, relayCommand].map(
      (command) => `## A ${command.name}\n\n${usageOf(command)}\n\n${optionTables(command.options).trimEnd()}`,
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

function usageOf({ name, args, summary }: Command): string {
  return `- \`${commandText(name, args, {})}\`: ${summary}`;
}
