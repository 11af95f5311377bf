/** The API reference, the public entries of the library as TypeDoc reads them, and the page of all options. */
import { fileURLToPath } from 'node:url';
import { type CommandLine, commandText, optionTables } from '@lockstep/command';
import { relayCommand, runCommands } from '@lockstep/train/command-line';
import { workerCommand } from '@lockstep/worker/options';
import { Application, Logger, LogLevel, type ProjectReflection, TSConfigReader } from 'typedoc';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Entry files that programs import; each becomes one module of the reference. */
export const entries: Readonly<Record<string, string>> = {
  '@lockstep/train': 'packages/train/src/index.ts',
  '@lockstep/worker': 'packages/worker/src/index.ts',
  '@lockstep/fleet': 'packages/fleet/src/index.ts',
  '@lockstep/worker/browser': 'packages/worker/src/browser/index.ts',
  '@lockstep/data': 'packages/data/src/index.ts',
  '@lockstep/data/node': 'packages/data/src/node.ts',
  '@lockstep/data/readers': 'packages/data/src/readers.ts',
  '@lockstep/nn': 'packages/nn/src/index.ts',
  '@lockstep/tensor': 'packages/tensor/src/index.ts',
  '@lockstep/tensor/node': 'packages/tensor/src/node.ts',
};

export interface Reference {
  readonly project: ProjectReflection;
  /** TypeDoc's warnings, for example about broken links. */
  readonly warnings: readonly string[];
  /** Writes the pages as Markdown, replacing the folder's content. */
  write(folder: string): Promise<void>;
}

/** @throws Error if the sources cannot be read */
export async function readReference(): Promise<Reference> {
  const logger = new CollectingLogger();
  const settings = {
    entryPoints: Object.values(entries).map((file) => root + file),
    tsconfig: fileURLToPath(new URL('../tsconfig.sources.json', import.meta.url)),
    basePath: root,
    displayBasePath: root,
    name: 'Lockstep',
    plugin: ['typedoc-plugin-markdown'],
    readme: 'none',
    // One page for each module, without what every Error has.
    router: 'module',
    excludeExternals: true,
    hidePageHeader: true,
    hideBreadcrumbs: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    classPropertiesFormat: 'table',
    typeDeclarationFormat: 'table',
    tableColumnSettings: { hideDefaults: true, hideModifiers: true, hideOverrides: true },
    logLevel: LogLevel.Warn,
    disableSources: true,
    // Each package checks types with its own settings.
    skipErrorChecking: true,
    validation: { notExported: false, notDocumented: false, invalidLink: true },
  };
  const app = await Application.bootstrapWithPlugins(settings, [new TSConfigReader()]);
  app.logger = logger;
  const project = await app.convert();
  if (!project) throw new Error(`expected sources that TypeDoc can read, got: ${logger.warnings.join('; ')}`);
  app.validate(project);
  const nameOf = new Map(Object.entries(entries).map(([name, file]) => [moduleName(file), name]));
  for (const module of project.children ?? []) module.name = nameOf.get(module.name) ?? module.name;
  return {
    project,
    warnings: logger.warnings,
    async write(folder) {
      app.options.setValue('out', folder);
      await app.generateOutputs(project);
    },
  };
}

/** TypeDoc's name for the module of a file. */
function moduleName(file: string): string {
  return file.replace(/(?:\/index)?\.ts$/, '');
}

/** TypeDoc finds the single comment of a type inferred from a schema twice. */
const foundTwice = /multiple declarations with a comment/;

class CollectingLogger extends Logger {
  readonly warnings: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level < LogLevel.Warn || foundTwice.test(message)) return;
    this.warnings.push(message);
  }
}

const { start, coordinator } = runCommands;

const introduction = `# Options

\`npm run docs\` writes this page from the tables that the command lines read; \`--help all\` prints the same options. An
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

function usageOf({ name, args, summary }: CommandLine): string {
  return `- \`${commandText(name, args, {})}\`: ${summary}`;
}
