/** An option that takes several values with commas between them. */
import { Expected, type Option } from '@lockstep/command';

/** @param readItem throws Expected where a text is no such item */
export function listOption<Item>(
  placeholder: string,
  description: string,
  readItem: (text: string) => Item,
  { mayRepeat = false }: { readonly mayRepeat?: boolean } = {},
): Option<readonly Item[] | undefined> {
  const parse = (text: string): readonly Item[] => {
    const items = text.split(',').map((item) => readItem(item.trim()));
    if (!mayRepeat && new Set(items).size < items.length) throw new Expected('a list that names nothing twice');
    return items;
  };
  return { placeholder, description, fallback: undefined, parse };
}
