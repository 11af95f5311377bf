/** Files that a person drops or chooses, with their paths relative to the dropped item. */

export interface NamedFile {
  /** Path separated by slashes. */
  readonly path: string;
  readonly file: File;
}

/** Returns the chosen files without hidden ones, which no reader uses. */
export function filesOfInput(files: FileList): NamedFile[] {
  return visible([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Returns the dropped files, including the contents of folders. Must be called before the drop event ends. */
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
    // A reader returns up to a hundred entries at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const inner of await Promise.all(entries.map(filesBelow))) files.push(...inner);
  }
}
