/** Ends a test run with the skipped suites and tests, each with the reason if its title states one. */

/** A title such as `a page (skipped: no browser found)`, including the title of the enclosing suite. */
function titleOf(task) {
  return [task.parent && task.parent.type === 'suite' ? titleOf(task.parent) : '', task.name]
    .filter(Boolean)
    .join(' > ');
}

function skippedIn(collection) {
  const found = [];
  for (const child of collection) {
    const isSuite = child.type === 'suite';
    if (child.options.mode === 'skip' || (!isSuite && child.result().state === 'skipped')) {
      const note = isSuite ? undefined : child.result().note;
      found.push(`${titleOf(child)}${note ? ` (${note})` : ''}`);
    } else if (isSuite) {
      found.push(...skippedIn(child.children));
    }
  }
  return found;
}

export default class SkippedReporter {
  onTestRunEnd(modules) {
    const lines = modules.flatMap((module) =>
      skippedIn(module.children).map((title) => `  ${module.relativeModuleId}: ${title}`),
    );
    if (lines.length > 0) process.stdout.write(`Skipped, and why:\n${lines.join('\n')}\n`);
  }
}
