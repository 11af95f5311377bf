/** Ends a test run with the suites and tests that were skipped, each with its reason where its title says one. */

/** A title such as `a page (skipped: no browser found)`, or with the reason of the suite around it. */
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
