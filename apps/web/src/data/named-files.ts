/** Files that a person drops or chooses, with their paths below what was dropped. */

export interface NamedFile {
  /** With slashes. */
  readonly path: string;
  readonly file: File;
}

/** Without hidden files, which no reader looks at. */
export function filesOfInput(files: FileList): NamedFile[] {
  return visible([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Of what was dropped, folders with all that is in them. Must be called before the drop's event ends. */
export async function filesOfDrop({ items }: DataTransfer): Promise<NamedFile[]> {
  const dropped = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const files = dropped.map(async (one) => {
    if (one instanceof File) return [{ path: one.name, file: one }];
    return one ? filesBelow(one) : [];
  });
  return visible((await Promise.all(files)).flat());
}

function visible(files: readonly NamedFile[]): NamedFile[] {
  return files.filter(({ path }) => !path.split('/').some((name) => name.startsWith('.')));
}

async function filesBelow(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: entry.fullPath.slice(1), file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: NamedFile[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const inner of await Promise.all(entries.map(filesBelow))) files.push(...inner);
  }
}
